"""What runs a network on whole windows of samples: a PyTorch module, or an exported file without PyTorch."""

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
    """A network on waveforms."""

    @property
    def sample_rate(self) -> int:
        """In Hz."""

    @property
    def microphones(self) -> int:
        """Channels of its input."""

    @property
    def device(self) -> str:
        """Where it runs."""

    def __call__(self, rows: Samples) -> Samples:
        """`[B, n]`, or `[B, microphones, n]` for more than one, to estimates `[B, n]`."""


_TURN = threading.Lock()
"""PyTorch spreads one network over all cores: two at once would wait for each other and need twice the memory."""


class TorchOfflineBackend:
    """A `Denoiser`, or any module with `sample_rate` and `microphones`, put into eval mode."""

    def __init__(self, model: Denoiser, name: str = "") -> None:
        from stillwave.inference.torch_backend import input_dtype

        self.name = name or type(model).__name__
        self.model, self._dtype = model.eval(), input_dtype(model)
        self.sample_rate, self.microphones = int(model.sample_rate), int(model.microphones)
        parameter = next(model.parameters(), None)
        self.device = "cpu" if parameter is None else str(parameter.device)

    def __call__(self, rows: Samples) -> Samples:
        """See `OfflineBackend`. Raises StillwaveError where the device's memory is too small."""
        import torch

        try:
            with _TURN, torch.inference_mode():
                noisy = torch.from_numpy(np.ascontiguousarray(rows)).to(self.device, self._dtype)
                estimate = self.model(noisy)
        except torch.cuda.OutOfMemoryError:
            raise StillwaveError(
                f"{self.device} has too little memory for {len(rows)} windows at once; "
                "use a smaller batch or the CPU"
            ) from None
        if not isinstance(estimate, torch.Tensor) or estimate.numel() != len(rows) * rows.shape[-1]:
            found = list(estimate.shape) if isinstance(estimate, torch.Tensor) else type(estimate).__name__
            raise StillwaveError(
                f"the network gave {found} for {list(rows.shape)}; expected an estimate [batch, samples] of the same "
                "length"
            )
        out: Samples = estimate.float().cpu().numpy().reshape(len(rows), rows.shape[-1])
        return out


class OnnxOfflineBackend:
    """A file exported for whole signals (`stillwave export --offline`)."""

    device = "cpu"
    concurrent = True
    """Whether threads can run it at once, each on a core of its own."""

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
        except Exception as error:  # ONNX Runtime's own classes have no common ancestor but this
            raise StillwaveError(f"the exported network failed: {str(error).splitlines()[0]}") from error
        out: Samples = estimate
        return out
