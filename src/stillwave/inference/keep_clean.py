"""Leave clean sound as it is: the estimate gives way to the input while little is removed.

`KeepClean` is a backend around another. With E the estimate and X the input of a frame, over all bins, it compares what
was kept and what was removed, R = Σ|E|² / Σ|X − E|², each a sum over the past with a time constant of two seconds. The
output is E + w·(X − E), with w rising from 0 at R = 16 dB to 1 at 22 dB. So the signal-to-noise ratio is measured by
the network itself, causally, and streams, files and both bands (`upper_band.py`) need nothing further.

The two ends were chosen on recordings for training: docs/how-to/enhance.md, "Keep what is clean".
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from stillwave.inference.backend import Backend, Spectra, State

LOWEST_DB, HIGHEST_DB = 16.0, 22.0
"""Ratios of what is kept to what is removed at which the input begins to replace the estimate, and has replaced it."""
SECONDS = 2.0
"""Time constant of both sums."""
KEPT, REMOVED = "keep_clean.kept", "keep_clean.removed"
_LEAST = np.float32(1e-12)
"""Added to both sums, so that silence counts as noise until there is a signal."""


class KeepClean:
    """The backend of a causal network whose output is the input where that is clean."""

    def __init__(self, backend: Backend) -> None:
        self._backend = backend
        self.sample_rate, self.microphones = backend.sample_rate, backend.microphones
        self.n_fft, self.hop = backend.n_fft, backend.hop
        self.fingerprint = f"{backend.fingerprint}+keep_clean"
        self.name = str(getattr(backend, "name", type(backend).__name__))
        self.device = str(getattr(backend, "device", "cpu"))
        self.concurrent = bool(getattr(backend, "concurrent", False))
        self._decay = np.float32(math.exp(-self.hop / (SECONDS * self.sample_rate)))

    def prepare_frames(self) -> None:
        """See `OnnxBackend.prepare_frames`."""
        prepare = getattr(self._backend, "prepare_frames", None)
        if prepare:
            prepare()

    def begin(self, streams: int) -> State:
        """See `Backend.begin`."""
        own = {name: np.zeros((streams, 1), np.float32) for name in (KEPT, REMOVED)}
        return {**self._backend.begin(streams), **own}

    def step(self, spectrum: Spectra, state: State) -> tuple[Spectra, State]:
        """See `Backend.step`."""
        network = {name: value for name, value in state.items() if name not in (KEPT, REMOVED)}
        estimate, network = self._backend.step(spectrum, network)
        removed = spectrum[:, :: self.microphones] - estimate
        kept = _decaying(_power(estimate), state[KEPT][:, 0], self._decay)
        lost = _decaying(_power(removed), state[REMOVED][:, 0], self._decay)
        weight = share_of_input(kept, lost)[:, None, :, None]
        own = {KEPT: kept[:, -1:].copy(), REMOVED: lost[:, -1:].copy()}
        return estimate + weight * removed, {**network, **own}


def share_of_input(kept: NDArray[np.float32], removed: NDArray[np.float32]) -> NDArray[np.float32]:
    """Return the weight of the input, 0 … 1, for sums of power.

    Examples:
        >>> share_of_input(np.float32([0, 1, 100, 1e3]), np.float32([1, 1, 1, 1])).round(2).tolist()
        [0.0, 0.0, 0.75, 1.0]

    """
    ratio_db = 10 * np.log10((kept + _LEAST) / (removed + _LEAST))
    place = np.clip((ratio_db - LOWEST_DB) / (HIGHEST_DB - LOWEST_DB), 0, 1)
    weight: NDArray[np.float32] = (0.5 - 0.5 * np.cos(np.pi * place)).astype(np.float32)
    return weight


def _power(spectra: Spectra) -> NDArray[np.float32]:
    """Return the power of each frame, `[S, T]`."""
    power: NDArray[np.float32] = np.einsum("sctf,sctf->st", spectra, spectra)
    return power


def _decaying(
    power: NDArray[np.float32], before: NDArray[np.float32], decay: np.float32
) -> NDArray[np.float32]:
    """Return Σ_s decay^(t−s)·power_s over s ≤ t, `[S, T]`, after a sum `before`."""
    sums = np.empty_like(power)
    for t in range(power.shape[1]):
        before = sums[:, t] = decay * before + power[:, t]
    return sums
