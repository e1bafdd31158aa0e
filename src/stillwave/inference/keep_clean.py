"""Leave clean sound as it is: the estimate gives way to the input while next to nothing is removed.

`KeepClean` is a backend around another. Over the frames of the input X and of the estimate E it tracks two levels: that
of the speech, the mean of Σ|E|² over frames with speech, and that of what is removed, a mean of Σ|X − E|² that rises in
0.1 s and falls in 1 s. Their ratio is an estimate of the signal-to-noise ratio. The output is (1 − w)·E + w·X, with w
rising from 0 at 20 dB to 1 at 30 dB. Only past frames count, so streams and files agree, and since the mix is made on
spectra, so do both bands (`upper_band.py`).

The constants were chosen on recordings for training: docs/how-to/enhance.md, "Keep what is clean".
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from stillwave.inference.backend import Backend, Spectra, State

NOISY_DB, CLEAN_DB = 20.0, 30.0
"""Ratios of speech to what is removed at which the output is the estimate alone, and the input alone."""
RISE_SECONDS, FALL_SECONDS = 0.1, 1.0
"""Time constants of the level of what is removed."""
SPEECH_SECONDS = 1.5
"""Time constant of the level of the speech."""
START_SECONDS, PAUSE_SECONDS = 1.5, 10.0
"""Time constants of its decrease: before the first speech, and in later pauses."""
START_DB, START_FRAMES = -26.0, 20.0
"""Level of the speech before there is any, in dBFS, and its weight against the first speech."""
ACTIVE = 10**-1.5
"""Least power of a frame with speech, relative to the level of the speech."""
GREATEST = 10 ** (1 / 20)
"""Greatest factor on the estimate before it is compared: some networks make speech softer, by up to 1 dB."""
LEVELS = "keep_clean.levels"
"""State: sum and weight of the level of the speech, whether there was any, mean and level of what is removed."""


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
        self._rise, self._fall, self._speech, self._start, self._pause = (
            math.exp(-self.hop / self.sample_rate / seconds)
            for seconds in (RISE_SECONDS, FALL_SECONDS, SPEECH_SECONDS, START_SECONDS, PAUSE_SECONDS)
        )

    def prepare_frames(self) -> None:
        """See `OnnxBackend.prepare_frames`."""
        prepare = getattr(self._backend, "prepare_frames", None)
        if prepare:
            prepare()

    def begin(self, streams: int) -> State:
        """See `Backend.begin`."""
        power = self.hop**2 * 10 ** (START_DB / 10)  # of a frame with that level
        levels = np.tile([power * START_FRAMES, START_FRAMES, 0, 0, 0], (streams, 1))
        return {**self._backend.begin(streams), LEVELS: levels}

    def step(self, spectrum: Spectra, state: State) -> tuple[Spectra, State]:
        """See `Backend.step`."""
        estimate, network = self._backend.step(
            spectrum, {name: value for name, value in state.items() if name != LEVELS}
        )
        noisy = spectrum[:, :: self.microphones]
        kept = _power(estimate)
        removed = _power(noisy - _level_factor(noisy, estimate, kept) * estimate)
        levels = state[LEVELS].copy()
        weights = np.zeros(kept.shape, np.float32)
        for stream in range(len(levels)):
            rows = kept[stream].tolist(), removed[stream].tolist()
            weights[stream], levels[stream] = self._advance(levels[stream].tolist(), *rows)
        weights = weights[:, None, :, None]
        return (1 - weights) * estimate + weights * noisy, {**network, LEVELS: levels}

    def _advance(
        self, levels: list[float], kept: list[float], removed: list[float]
    ) -> tuple[list[float], list[float]]:
        """Return the weights of the input in frames of one stream, and its levels after them."""
        total, weight, begun, mean, level = levels
        weights = []
        for power, loss in zip(kept, removed, strict=True):
            if power * weight >= ACTIVE * total:
                total, weight, begun = self._speech * total + power, self._speech * weight + 1, 1.0
            else:
                total *= self._pause if begun else self._start
            mean = self._rise * mean + (1 - self._rise) * loss
            level = max(mean, self._fall * level + (1 - self._fall) * mean)
            weights.append(share_of_input(total / weight, level))
        return weights, [total, weight, begun, mean, level]


def share_of_input(speech: float, removed: float) -> float:
    """Return the weight of the input, 0 … 1, for the levels (powers) of the speech and of what is removed.

    Examples:
        >>> [round(share_of_input(speech, 1), 2) for speech in (0, 1, 10**2.5, 1e3)]
        [0.0, 0.0, 0.5, 1.0]

    """
    if speech <= 0:  # silence counts as noise
        return 0.0
    if removed <= 0:
        return 1.0
    ratio_db = 10 * (math.log10(speech) - math.log10(removed))
    return min(1.0, max(0.0, (ratio_db - NOISY_DB) / (CLEAN_DB - NOISY_DB)))


def _power(spectra: Spectra) -> NDArray[np.float64]:
    """Return the power of each frame, `[S, T]`."""
    power: NDArray[np.float64] = np.sum(np.square(spectra, dtype=np.float64), axis=(1, 3))
    return power


def _level_factor(noisy: Spectra, estimate: Spectra, kept: NDArray[np.float64]) -> Spectra:
    """Return the factor of each frame, 1 … `GREATEST`, that makes the estimate nearest to the input, `[S, 1, T, 1]`."""
    common = np.sum(noisy * estimate, axis=(1, 3), dtype=np.float64)
    factors = np.divide(common, kept, out=np.ones_like(kept), where=kept > 0)
    clipped: Spectra = np.clip(factors, 1, GREATEST).astype(np.float32)[:, None, :, None]
    return clipped
