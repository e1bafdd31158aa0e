"""Shipped models: `NAME.onnx`, `NAME.int8.onnx` and the model card `NAME.json`. Needs no PyTorch.

Every command and `stillwave.load` resolve the name of a model in the same way:

| given | meaning |
|---|---|
| nothing | the default model |
| an existing path | a checkpoint, run folder or exported file; paths take precedence over names |
| a name (`bsrnn-s`) | the shipped model, in float32 |
| a name with `-int8` (`bsrnn-s-int8`) | the shipped model with weights in 8 bits |
"""

from __future__ import annotations

from pathlib import Path

from stillwave.card import ModelCard
from stillwave.pretrained.registry import INT8, ModelRegistry

__all__ = [
    "DEFAULT",
    "INT8",
    "SHIPPED",
    "ModelCard",
    "ModelRegistry",
    "card",
    "default",
    "find",
    "locate",
    "names",
]

DEFAULT = "bsrnn-m"
"""Name of the default model of all commands and `stillwave.load()`."""
SHIPPED = ModelRegistry(Path(__file__).parent / "shipped", DEFAULT)


def names() -> list[str]:
    """Return the names of the shipped models."""
    return SHIPPED.names()


def default() -> str:
    """Return the name of the default model."""
    return SHIPPED.default


def find(name: str) -> Path:
    """Return the file of a shipped model (`NAME-int8` for 8 bits), verified by its SHA-256. Raises CheckpointError."""
    return SHIPPED.find(name)


def card(name: str) -> ModelCard:
    """Return the card of a shipped model. Raises CheckpointError."""
    return SHIPPED.card(name)


def locate(model: Path | str | None = None) -> Path:
    """Return the path that `model` stands for (see the module).

    Raises CheckpointError, which lists the known names, for anything else.
    """
    return SHIPPED.locate(model)
