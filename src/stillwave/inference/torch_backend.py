"""Execute causal networks with PyTorch."""

from __future__ import annotations

import hashlib
import threading
from weakref import WeakKeyDictionary

import numpy as np
import torch
from torch import nn

from stillwave.errors import StateError, StillwaveError
from stillwave.inference.backend import Spectra, State
from stillwave.models import Denoiser
from stillwave.models.streaming import get_state, set_state, streaming

_LOCKS: WeakKeyDictionary[nn.Module, threading.Lock] = WeakKeyDictionary()
"""One lock for each module: it holds the states during a call, so backends that share it take turns."""


class TorchBackend:
    """Execute a causal `Denoiser`, which is set to eval mode. Several threads may share it.

    Args:
        model: The network.
        fingerprint: Identifies the weights; by default computed from them.
        name: Name for `repr`; by default the class.

    Raises:
        StateError: The network is not causal.

    """

    def __init__(self, model: Denoiser, fingerprint: str = "", name: str = "") -> None:
        self.name = name or type(model).__name__
        self.model = model.eval()
        self.sample_rate, self.microphones = int(model.sample_rate), int(model.microphones)
        self.n_fft, self.hop = int(model.stft.n_fft), int(model.stft.hop)
        self.device = str(next(model.parameters()).device)
        self._dtype = input_dtype(model)
        self.fingerprint = fingerprint or _digest(model)
        self._shapes = self._find_shapes()

    def begin(self, streams: int) -> State:
        """See `Backend.begin`."""
        return {name: np.zeros((streams, *shape), np.float32) for name, shape in self._shapes.items()}

    def step(self, spectrum: Spectra, state: State) -> tuple[Spectra, State]:
        """See `Backend.step`."""
        lock = _LOCKS.setdefault(self.model, threading.Lock())
        with lock, torch.inference_mode(), streaming(self.model):
            set_state(self.model, {name: self._tensor(value) for name, value in state.items()})
            estimate = self.model.estimate(self._tensor(spectrum))
            following = get_state(self.model)
            return estimate.float().cpu().numpy(), {
                name: following[name].float().cpu().numpy() for name in state
            }

    def _tensor(self, array: Spectra) -> torch.Tensor:
        return torch.from_numpy(array).to(self.device, self._dtype)

    def _find_shapes(self) -> dict[str, tuple[int, ...]]:
        """Return the shapes of the states without their first axis."""
        if not self.model.causal:
            raise StateError("this network needs the whole signal, so it cannot stream")
        shape = 1, 2 * self.microphones, 1, self.n_fft // 2 + 1
        silence = torch.zeros(shape, device=self.device, dtype=self._dtype)
        lock = _LOCKS.setdefault(self.model, threading.Lock())
        with lock, torch.inference_mode(), streaming(self.model):
            self.model.estimate(silence)
            return {name: tuple(tensor.shape[1:]) for name, tensor in get_state(self.model).items()}


def input_dtype(model: nn.Module) -> torch.dtype:
    """Return the type of a network's input: float64 for weights in float64, else float32.

    Raises StillwaveError for half precision, which the STFT does not support.
    """
    weights = next((p.dtype for p in model.parameters() if p.is_floating_point()), torch.float32)
    if weights not in (torch.float32, torch.float64):
        kind = str(weights).removeprefix("torch.")
        raise StillwaveError(f"this network's weights are {kind}; convert them with model.float()")
    return weights


def _digest(model: Denoiser) -> str:
    digest = hashlib.sha256()
    for name, tensor in model.state_dict().items():
        digest.update(name.encode())
        digest.update(tensor.detach().cpu().contiguous().numpy().tobytes())
    return digest.hexdigest()
