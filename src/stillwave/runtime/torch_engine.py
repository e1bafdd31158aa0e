"""A causal network of PyTorch as an engine. The one file of the runtime that needs PyTorch."""

from __future__ import annotations

import hashlib

import numpy as np
import torch

from stillwave.errors import StateError
from stillwave.models import Denoiser
from stillwave.models.streaming import get_state, set_state, streaming
from stillwave.runtime.engine import Spectra, State


class TorchEngine:
    """A causal `Denoiser`, put into eval mode. Raises StateError for a network that sees the whole signal."""

    def __init__(self, model: Denoiser, fingerprint: str = "") -> None:
        self.model = model.eval()
        self.sample_rate, self.microphones = int(model.sample_rate), int(model.microphones)
        self.n_fft, self.hop = int(model.stft.n_fft), int(model.stft.hop)
        self.device = str(next(model.parameters()).device)
        self.fingerprint = fingerprint or _digest(model)
        self._shapes = self._find_shapes()

    def begin(self, streams: int) -> State:
        """Zeros."""
        return {name: np.zeros((streams, *shape), np.float32) for name, shape in self._shapes.items()}

    def step(self, spectrum: Spectra, state: State) -> tuple[Spectra, State]:
        """See `Engine.step`."""
        with torch.inference_mode(), streaming(self.model):
            set_state(self.model, {name: torch.from_numpy(v).to(self.device) for name, v in state.items()})
            estimate = self.model.estimate(torch.from_numpy(spectrum).to(self.device))
            after = get_state(self.model)
            return estimate.float().cpu().numpy(), {name: after[name].cpu().numpy() for name in state}

    def _find_shapes(self) -> dict[str, tuple[int, ...]]:
        """What the memories hold after a frame, less their first axis."""
        if not self.model.causal:
            raise StateError("this network needs the whole signal, so it cannot stream")
        silence = torch.zeros(1, 2 * self.microphones, 1, self.n_fft // 2 + 1, device=self.device)
        with torch.inference_mode(), streaming(self.model):
            self.model.estimate(silence)
            return {name: tuple(tensor.shape[1:]) for name, tensor in get_state(self.model).items()}


def _digest(model: Denoiser) -> str:
    digest = hashlib.sha256()
    for name, tensor in model.state_dict().items():
        digest.update(name.encode())
        digest.update(tensor.detach().cpu().contiguous().numpy().tobytes())
    return digest.hexdigest()
