"""Keep the band above that of the network: it is attenuated as the uppermost third of the network's band.

A network at 16 kHz returns nothing above 8 kHz. Here the output is down(e − g·x) + g·d, with the estimate e and the
input x at the rate of the network, the input d at the rate of the output, and the gain g of each frame,
g = min(1, √(Σ|E|² / Σ|X|²)) over the bins between 5/8 and 15/16 of the band. Where the network changes nothing, the
output is the input, sample by sample. Below the band's edge g·x and g·d cancel, so the estimate stays as it is.
The band and the exponent of g were compared on mixtures at 48 kHz: docs/fullband.md, "Above the network's band".
"""

from __future__ import annotations

import math
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from stillwave.audio import Samples
from stillwave.inference.streaming_stft import (
    Framer,
    OverlapAdder,
    Spectrum,
    analyze_frames,
)

LOWEST, HIGHEST = 5 / 8, 15 / 16
"""Edges of the bins that give the gain, as shares of the network's band."""
_TABLE = 2**16
"""Longest table of the window."""


def frame_gains(noisy: Spectrum, estimate: Spectrum) -> Samples:
    """Return the gains `[..., T]`, 0 … 1, of the upper band for spectra `[..., T, F]`; 0 for a silent frame."""
    band = slice(round(LOWEST * (noisy.shape[-1] - 1)), round(HIGHEST * (noisy.shape[-1] - 1)))
    before, after = _power(noisy[..., band]), _power(estimate[..., band])
    ratio = np.divide(after, before, out=np.zeros_like(before), where=before > 0)
    gains: Samples = np.sqrt(np.minimum(ratio, 1)).astype(np.float32)
    return gains


def _power(spectra: Spectrum) -> NDArray[np.float64]:
    power: NDArray[np.float64] = np.square(spectra.view(spectra.real.dtype), dtype=np.float64).sum(axis=-1)
    return power


def has_upper_band(model_rate: int, rate_in: int, rate_out: int) -> bool:
    """Return whether input and output reach above the band of a network at `model_rate` Hz."""
    return min(rate_in, rate_out) > model_rate


class GainEnvelope:
    """The gains of frames as a factor of each output sample, for R signals in blocks of any size.

    Consecutive frames are joined by the squared window of the STFT, sin², as overlap-add joins the estimate.

    Args:
        rows: Number of signals R.
        hop: Distance of two frames, in samples of the network.
        model_rate: Rate of the network, in Hz.
        rate_out: Rate of the output, in Hz.

    """

    def __init__(self, rows: int, hop: int, model_rate: int, rate_out: int) -> None:
        common = math.gcd(model_rate, rate_out * hop)
        self._step, self._frame = model_rate // common, rate_out * hop // common
        self.gains = np.zeros((rows, 0), np.float32)
        """Gains of the frames that later samples need."""
        self.position = 0
        """Time of the next sample after the middle of the first of these frames, in 1/`rate_out` model samples."""

    def push(self, gains: Samples) -> None:
        """Append the gains `[R, T]` of the next frames."""
        self.gains = np.concatenate([self.gains, gains], axis=1)

    def take(self, count: int) -> Samples:
        """Return the factors `[R, count]` of the next samples, whose frames must have been pushed."""
        if not count:
            return np.zeros((len(self.gains), 0), np.float32)
        frame, rest = np.divmod(self.position + np.arange(count, dtype=np.int64) * self._step, self._frame)
        rising = _rising(self._frame)[rest] if self._frame <= _TABLE else _sin2(rest, self._frame)
        before = self.gains[:, frame]
        factors: Samples = before + rising * (self.gains[:, frame + 1] - before)
        passed, self.position = divmod(self.position + count * self._step, self._frame)
        self.gains = self.gains[:, passed:].copy()
        return factors


def _sin2(place: NDArray[np.int64], frame: int) -> Samples:
    """Return the rising half of the window of a frame, at places of 1/`frame` of it."""
    rising: Samples = np.square(np.sin(place * (0.5 * math.pi / frame))).astype(np.float32)
    return rising


@lru_cache(maxsize=16)
def _rising(frame: int) -> Samples:
    return _sin2(np.arange(frame, dtype=np.int64), frame)


def separate_upper_band(noisy: Samples, estimate: Samples, n_fft: int) -> Samples:
    """Return the estimate less the gain times the input, and the gain of each sample, at the rate of the network.

    Args:
        noisy: Input `[..., R, n]`.
        estimate: Estimate `[..., R, n]`.
        n_fft: Length of the frames that have one gain, in samples.

    Returns:
        `[..., 2·R, n]`: R rows of e − g·x, then R rows of g.

    """
    rows, hop = noisy.reshape(-1, noisy.shape[-1]), n_fft // 2
    count = rows.shape[1]
    padding = np.zeros((len(rows), 2 * hop - count % hop), np.float32)  # completes the last frames
    frames = [
        Framer(len(rows), hop).push(np.concatenate([signal.reshape(rows.shape), padding], axis=1))
        for signal in (noisy, estimate)
    ]
    before, after = (analyze_frames(part) for part in frames)
    gains = frame_gains(before, after)
    envelope = GainEnvelope(len(rows), hop, 1, 1)
    envelope.push(gains)
    wet = OverlapAdder(len(rows), n_fft).push(after - gains[:, :, None] * before)[:, :count]
    parts = [part.reshape(estimate.shape) for part in (wet, envelope.take(count))]
    return np.concatenate(parts, axis=-2)
