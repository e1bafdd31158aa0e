"""From what a user names or holds to what runs it: a file, a checkpoint, a module."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from stillwave.enhance.whole import OnnxWhole, TorchWhole, Whole
from stillwave.errors import MissingExtraError

if TYPE_CHECKING:
    from stillwave.deploy.onnx_file import OnnxModel
    from stillwave.runtime.engine import Engine


def opened(model: Path | str | None, device: str | None) -> OnnxModel | Engine | Whole:
    """The network that `stillwave.load` means. Raises CheckpointError, MissingExtraError."""
    from stillwave import weights  # pydantic behind it takes as long to import as all else

    place = weights.locate(model)
    if place.is_file():
        from stillwave.deploy.onnx_file import read

        return read(place)
    try:
        import torch

        from stillwave import checkpoint as checkpoints
    except ModuleNotFoundError as error:
        if error.name not in ("torch", "safetensors"):
            raise
        raise MissingExtraError(
            "enhancing with a checkpoint rather than an exported .onnx file", "train"
        ) from None
    if device in (None, "auto"):
        device = "cuda" if torch.cuda.is_available() else "cpu"
    network, card = checkpoints.load(place, device)
    if network.causal:
        from stillwave.runtime.torch_engine import TorchEngine

        return TorchEngine(network, card.sha256, str(model))
    return TorchWhole(network, str(model))


def runner(model: Any) -> tuple[Engine | None, Whole | None]:
    """What runs `model`: frame by frame if it is causal, else on whole windows."""
    if hasattr(model, "step") and hasattr(model, "begin"):
        return model, None
    if isinstance(model, (TorchWhole, OnnxWhole)):
        return None, model
    if hasattr(model, "session"):
        from stillwave.runtime.engine import OnnxEngine

        return (OnnxEngine(model), None) if model.meta.kind == "stream" else (None, OnnxWhole(model))
    if getattr(model, "causal", False):
        from stillwave.runtime.torch_engine import TorchEngine

        return TorchEngine(model), None
    return None, TorchWhole(model)
