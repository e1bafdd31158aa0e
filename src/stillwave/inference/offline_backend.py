"""Offline backends execute a network on windows of samples, with PyTorch or ONNX Runtime."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING, Protocol

import numpy as np

from stillwave.audio import Samples
from stillwave.errors import StillwaveError

if TYPE_CHECKING:
    from stillwave.inference.onnx_model import OnnxModel
    from stillwave.models import Denoiser


class OfflineBackend(Protocol):
    """Executes a network on waveforms."""

    @property
    def sample_rate(self) -> int:
        """Sampling rate of the network, in Hz."""

    @property
    def microphones(self) -> int:
        """Number of input channels."""

    @property
    def device(self) -> str:
        """PyTorch device, `cpu` for ONNX Runtime."""

    def __call__(self, rows: Samples) -> Samples:
        """Return the estimates `[B, n]` of `[B, n]`, or of `[B, M, n]` for M > 1 microphones."""


_LOCK = threading.Lock()
"""PyTorch uses all cores for one call; a second call at once would only need more memory."""


class TorchOfflineBackend:
    """Execute a `Denoiser`, or any module with `sample_rate` and `microphones`, which is set to eval mode."""

    def __init__(self, model: Denoiser, name: str = "") -> None:
        from stillwave.inference.torch_backend import input_dtype

        self.name = name or type(model).__name__
        self.model, self._dtype = model.eval(), input_dtype(model)
        self.sample_rate, self.microphones = int(model.sample_rate), int(model.microphones)
        parameter = next(model.parameters(), None)
        self.device = "cpu" if parameter is None else str(parameter.device)

    def __call__(self, rows: Samples) -> Samples:
        """See `OfflineBackend`. Raises StillwaveError if the device runs out of memory."""
        import torch

        try:
            with _LOCK, torch.inference_mode():
                noisy = torch.from_numpy(np.ascontiguousarray(rows)).to(self.device, self._dtype)
                estimate = self.model(noisy)
        except torch.cuda.OutOfMemoryError:
            raise StillwaveError(
                f"{self.device} is out of memory for {len(rows)} windows at once; "
                "use a smaller batch or the CPU"
            ) from None
        if not isinstance(estimate, torch.Tensor) or estimate.numel() != len(rows) * rows.shape[-1]:
            found = list(estimate.shape) if isinstance(estimate, torch.Tensor) else type(estimate).__name__
            raise StillwaveError(
                f"the network returned {found} for {list(rows.shape)}; expected an estimate [batch, samples] "
                "of the same length"
            )
        out: Samples = estimate.float().cpu().numpy().reshape(len(rows), rows.shape[-1])
        return out


class OnnxOfflineBackend:
    """Execute an offline graph (`stillwave export --offline`) with ONNX Runtime."""

    device = "cpu"
    concurrent = True
    """Several Python threads can call it at once, each on its core."""

    def __init__(self, model: OnnxModel) -> None:
        self.sample_rate, self.microphones = model.meta.sample_rate, model.meta.microphones
        self._model, self._session = model, model.session
        self.name = model.path.stem

    def __reduce__(self) -> tuple[type[OnnxOfflineBackend], tuple[OnnxModel]]:
        return type(self), (self._model,)

    def __call__(self, rows: Samples) -> Samples:
        """See `OfflineBackend`."""
        try:
            (estimate,) = self._session.run(["estimate"], {"noisy": np.ascontiguousarray(rows)})
        except Exception as error:  # the only common base of ONNX Runtime's errors
            raise StillwaveError(f"the exported network failed: {str(error).splitlines()[0]}") from error
        out: Samples = estimate
        return out
