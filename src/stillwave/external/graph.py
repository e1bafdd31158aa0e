"""ONNX and TorchScript files as denoisers: waveform in, waveform out."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from stillwave.audio import Samples
from stillwave.errors import MissingExtraError
from stillwave.external.contract import ExternalDenoiser, ExternalError
from stillwave.files import sha256

ONNX, TORCHSCRIPT = (".onnx",), (".pt", ".pth", ".ts", ".jit")


class OnnxDenoiser(ExternalDenoiser):
    """A graph with one input and one output, `[n]`, `[B, n]` or `[B, 1, n]`; runs on one CPU thread.

    Raises:
        ExternalError: The file cannot be read, or its inputs are others.

    """

    def __init__(self, path: Path, rate: int) -> None:
        import onnxruntime

        super().__init__(str(path), rate, ["onnx", hashed(path)])
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = 1
        options.log_severity_level = 4
        try:
            self._session = onnxruntime.InferenceSession(
                str(path), options, providers=["CPUExecutionProvider"]
            )
        except Exception as error:  # onnxruntime has no base class of its errors
            reason = str(error).splitlines()[0]
            raise ExternalError(f"{path}: cannot be read as an ONNX file ({reason})") from None
        inputs = self._session.get_inputs()
        self._axes = len(inputs[0].shape) if len(inputs) == 1 else 0
        if not 1 <= self._axes <= 3 or isinstance(inputs[0].shape[-1], int):
            found = ", ".join(f"{i.name} {i.shape}" for i in inputs)
            raise ExternalError(
                f"{path}: has the inputs {found}; a teacher's graph has one waveform of any length, [n], [B, n] or "
                "[B, 1, n] (`stillwave export --offline` writes such a file)"
            )
        self._name = inputs[0].name
        self._single = self._axes == 1 or inputs[0].shape[0] == 1

    def run(self, samples: Samples) -> Any:
        """Return the estimate for one example."""
        output = self._call(samples if self._axes == 1 else samples[None])
        return np.squeeze(output, 0) if output.ndim == 3 else output

    def run_batch(self, samples: Samples) -> Any:
        """Return the estimates, from one call if the graph has an axis for examples."""
        return super().run_batch(samples) if self._single else self._call(samples)

    def _call(self, samples: Samples) -> Any:
        batch = samples[:, None] if self._axes == 3 else samples
        return self._session.run(None, {self._name: np.ascontiguousarray(batch)})[0]


class TorchScriptDenoiser(ExternalDenoiser):
    """A TorchScript archive from `[B, n]` to `[B, n]`, loaded by `torch.jit.load` alone: nothing is unpickled.

    A TorchScript file is a program. Load files that you trust.

    Raises:
        ExternalError: The file cannot be read.

    """

    def __init__(self, path: Path, rate: int) -> None:
        try:
            import torch
        except ModuleNotFoundError:
            raise MissingExtraError("a TorchScript file", "train") from None
        super().__init__(str(path), rate, ["torchscript", hashed(path)])
        try:
            self._module = torch.jit.load(str(path), map_location="cpu").eval()  # type: ignore[no-untyped-call]
        except (RuntimeError, ValueError, OSError) as error:
            reason = str(error).strip().splitlines()[0]
            raise ExternalError(
                f"{path}: cannot be read as a TorchScript file ({reason}); write it with torch.jit.save"
            ) from None

    def run(self, samples: Samples) -> Any:
        """Return the estimate for one example."""
        return self.run_batch(samples[None])

    def run_batch(self, samples: Samples) -> Any:
        """Return the estimates, from one call."""
        import torch

        with torch.inference_mode():
            output = self._module(torch.from_numpy(np.ascontiguousarray(samples)))
        if not isinstance(output, torch.Tensor):
            raise ExternalError(f"{self.name}: returned {type(output).__name__}; it must return one tensor")
        return output.float().cpu().numpy()


def hashed(path: Path) -> str:
    """Return the SHA-256 of a file. Raise ExternalError if it cannot be read."""
    try:
        return sha256(path)
    except OSError as error:
        raise ExternalError(f"{path}: cannot be read ({error.strerror or error})") from None
