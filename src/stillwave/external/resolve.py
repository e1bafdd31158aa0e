"""Find the external denoiser that a name or a path means."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path

from stillwave.errors import nearest
from stillwave.external.command import TIMEOUT, CommandDenoiser
from stillwave.external.contract import ExternalDenoiser, ExternalError
from stillwave.external.function import FunctionDenoiser, imported
from stillwave.external.graph import ONNX, TORCHSCRIPT, OnnxDenoiser, TorchScriptDenoiser
from stillwave.external.peers import DeepFilterNet3, NSNet2, RNNoise

CODE = "python:"
"""Start of the name of a Python object: `python:MODULE:NAME`."""
PEERS: Mapping[str, Callable[[], ExternalDenoiser]] = {
    "deepfilternet3": DeepFilterNet3,
    "rnnoise": RNNoise,
    "nsnet2": NSNet2,
}
"""Published denoisers by name."""


def is_external(place: str) -> bool:
    """Return whether a name means an external denoiser: a peer, a Python object, or an ONNX or TorchScript file."""
    path = Path(place)
    if place.startswith(CODE):
        return True
    return (place in PEERS and not path.exists()) or (
        path.suffix.lower() in (*ONNX, *TORCHSCRIPT) and not path.is_dir()
    )


def resolve(place: str, rate: int) -> ExternalDenoiser:
    """Open an external denoiser.

    Args:
        place: Name of a peer, an ONNX or TorchScript file, or `python:MODULE:FUNCTION`.
        rate: Sampling rate that it expects, in Hz; peers have their own.

    Raises:
        ExternalError: It cannot be opened.
        MissingExtraError: A TorchScript file, and PyTorch is not installed.

    """
    if place.startswith(CODE):
        function = imported(place.removeprefix(CODE))
        if not callable(function):
            raise ExternalError(f"{place}: is no function; it must map samples [B, n] and a rate to [B, n]")
        return FunctionDenoiser(function, rate, place)
    path = Path(place)
    if place in PEERS and not path.exists():
        return PEERS[place]()
    suffix = path.suffix.lower()
    if suffix not in (*ONNX, *TORCHSCRIPT):
        raise ExternalError(f"{place}: is no external denoiser; {nearest(place, PEERS)}")
    if not path.is_file():
        raise ExternalError(f"{place}: there is no such file")
    return OnnxDenoiser(path, rate) if suffix in ONNX else TorchScriptDenoiser(path, rate)


def from_command(line: str, rate: int, timeout: float = TIMEOUT) -> ExternalDenoiser:
    """Return a program as a denoiser; see `CommandDenoiser`."""
    return CommandDenoiser(line, rate, timeout)
