"""Open models by name or path, and choose the backend for a network."""

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
    """Open a model for `stillwave.load`. Raises CheckpointError, MissingExtraError."""
    if model is not None and (not isinstance(model, (str, bytes, PathLike)) or not fspath(model)):
        raise CheckpointError(
            f"model: expected the name of a model or the path of a file or folder, got {model!r}; for a network "
            "object use stillwave.Enhancer(network)"
        )
    check_device(device)
    from stillwave import pretrained  # imports pydantic, which is slow

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
            "enhancing with a checkpoint instead of an exported .onnx file", "train"
        ) from None
    if device in (None, "auto"):
        device = "cuda" if torch.cuda.is_available() else "cpu"
    network, card = checkpoints.load(place, device)
    if network.causal:
        from stillwave.inference.torch_backend import TorchBackend

        return TorchBackend(network, card.sha256, str(model))
    return TorchOfflineBackend(network, str(model))


def causal_backend(model: Any, option: str) -> Backend:
    """Return the backend for a causal network. Raise StillwaveError, which names the option that needs one."""
    backend, _ = make_backend(model)
    if backend is None:
        raise StillwaveError(
            f"{option}: needs a causal network, such as 'bsrnn-s'; this one needs the whole signal"
        )
    return backend


_DEVICE = re.compile(r"(cpu|cuda|mps|xpu|meta)(:\d+)?")


def check_device(device: object) -> None:
    """Raise CheckpointError if `device` is not the name of a device, present or not."""
    if device in (None, "auto") or _DEVICE.fullmatch(str(device)):
        return
    raise CheckpointError(f"device: unknown device {device!r}; expected auto, cpu, cuda, cuda:1, … or mps")


def make_backend(model: Any) -> tuple[Backend | None, OfflineBackend | None]:
    """Return the backend for a causal network, or the offline backend for any other."""
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
            f"model: expected a network or a backend, got {type(model).__name__}; "
            "stillwave.load accepts names and paths"
        )
    if missing:
        raise StillwaveError(
            f"model: {type(model).__name__} lacks {' and '.join(missing)}; set both attributes, for example "
            "sample_rate = 16000 and microphones = 1"
        )
    if getattr(model, "causal", False):
        from stillwave.inference.torch_backend import TorchBackend

        return TorchBackend(model), None
    return None, TorchOfflineBackend(model)
