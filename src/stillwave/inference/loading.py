"""From what a user names or holds to what runs it: a file, a checkpoint, a module."""

from __future__ import annotations

import re
from os import PathLike, fspath
from pathlib import Path
from typing import TYPE_CHECKING, Any

from stillwave.errors import CheckpointError, MissingExtraError, StillwaveError
from stillwave.files import as_path
from stillwave.inference.offline_backend import OfflineBackend, OnnxOfflineBackend, TorchOfflineBackend

if TYPE_CHECKING:
    from stillwave.inference.backend import Backend
    from stillwave.inference.onnx_model import OnnxModel


def open_model(model: Path | str | bytes | None, device: str | None) -> OnnxModel | Backend | OfflineBackend:
    """The network that `stillwave.load` means. Raises CheckpointError, MissingExtraError."""
    if model is not None and (not isinstance(model, (str, bytes, PathLike)) or not fspath(model)):
        raise CheckpointError(
            f"model: expected a model's name, or the path of a file or folder, got {model!r}; for a network that you "
            "hold use stillwave.Enhancer(network)"
        )
    check_device(device)
    from stillwave import pretrained  # pydantic behind it takes as long to import as all else

    place = pretrained.locate(None if model is None else as_path(model))
    if place.is_file():
        from stillwave.inference.onnx_model import read

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
        from stillwave.inference.torch_backend import TorchBackend

        return TorchBackend(network, card.sha256, str(model))
    return TorchOfflineBackend(network, str(model))


_DEVICE = re.compile(r"(cpu|cuda|mps|xpu|meta)(:\d+)?")


def check_device(device: object) -> None:
    """Refuse what names no device. Whether it is there shows where a checkpoint goes to it."""
    if device in (None, "auto") or _DEVICE.fullmatch(str(device)):
        return
    raise CheckpointError(
        f"device: there is none called {device!r}; expected auto, cpu, cuda, cuda:1, … or mps"
    )


def make_backend(model: Any) -> tuple[Backend | None, OfflineBackend | None]:
    """What runs `model`: frame by frame if it is causal, else on whole windows."""
    if hasattr(model, "step") and hasattr(model, "begin"):
        return model, None
    if isinstance(model, (TorchOfflineBackend, OnnxOfflineBackend)):
        return None, model
    if hasattr(model, "session"):
        from stillwave.inference.backend import OnnxBackend

        return (
            (OnnxBackend(model), None) if model.meta.kind == "stream" else (None, OnnxOfflineBackend(model))
        )
    missing = [name for name in ("sample_rate", "microphones") if not hasattr(model, name)]
    if not callable(getattr(model, "eval", None)):
        raise StillwaveError(
            f"model: expected a network or an engine, got {type(model).__name__}; stillwave.load takes names and paths"
        )
    if missing:
        raise StillwaveError(
            f"model: {type(model).__name__} has no {' and no '.join(missing)}; set both on the network (such as "
            "sample_rate = 16000 and microphones = 1)"
        )
    if getattr(model, "causal", False):
        from stillwave.inference.torch_backend import TorchBackend

        return TorchBackend(model), None
    return None, TorchOfflineBackend(model)
