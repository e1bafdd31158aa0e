"""Trained networks that come with the package: `NAME.onnx`, `NAME.int8.onnx` and their card, `NAME.json`.

Wherever a model is asked for, on the command line and in `stillwave.load`, it is named in one way:

| given | means |
|---|---|
| nothing | the default model |
| something that exists on disk | that: a checkpoint, a run folder, an exported file |
| a plain name (`bsrnn-s`) | the model that ships under it, in float32 |
| a plain name with `-int8` (`bsrnn-s-int8`) | the same with its weights in 8 bits |

What is on disk comes first: a folder that somebody trained is never passed over for weights of the same name.
Nothing here needs PyTorch.
"""

from __future__ import annotations

from pathlib import Path

from stillwave.pretrained.card import Card
from stillwave.pretrained.registry import INT8, ModelRegistry

__all__ = [
    "DEFAULT",
    "INT8",
    "SHIPPED",
    "Card",
    "ModelRegistry",
    "card",
    "default",
    "find",
    "locate",
    "names",
]

DEFAULT = "bsrnn-m"
"""What `enhance`, `stream`, `live` and `stillwave.load()` use when they are not told."""
SHIPPED = ModelRegistry(Path(__file__).parent / "shipped", DEFAULT)


def names() -> list[str]:
    """Names of the models that ship."""
    return SHIPPED.names()


def default() -> str:
    """The default model's name."""
    return SHIPPED.default


def find(name: str) -> Path:
    """A shipped model's file, compared with its card; `NAME-int8` is its small form. Raises CheckpointError."""
    return SHIPPED.find(name)


def card(name: str) -> Card:
    """What is known of a shipped model. Raises CheckpointError."""
    return SHIPPED.card(name)


def locate(model: Path | str | None = None) -> Path:
    """The file or folder that `model` means, as the table above says.

    Raises CheckpointError, with the names there are, for what neither exists nor ships.
    """
    return SHIPPED.locate(model)
