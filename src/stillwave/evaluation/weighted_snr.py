"""Frequency-weighted segmental SNR in dB; higher is better.

J. M. Tribolet et al., ICASSP 1978, as `comp_fwseg` of P. C. Loizou, "Speech Enhancement: Theory and Practice": the SNR
of 25 critical bands up to 3.6 kHz, weighted by the magnitude of the reference to the power 0.2, and limited to −10 …
35 dB for each frame. Spectra are scaled to a sum of 1, so the level does not count.
"""

from __future__ import annotations

import numpy as np

from stillwave.audio import Samples
from stillwave.evaluation.composite import BINS, Array, critical_filters, frames

_POWER = 0.2
_EPS = np.finfo(np.float64).eps


def weighted_snr(clean: Samples, estimate: Samples) -> float:
    """Return the mean over frames of 30 ms of signals `[N]` at 16 kHz; like the program without the last frame."""
    x, y = _bands(clean), _bands(estimate)
    weights = x**_POWER
    ratios = 10 * np.log10(x**2 / np.maximum((x - y) ** 2, _EPS))
    return float(np.clip((weights * ratios).sum(1) / weights.sum(1), -10, 35).mean())


def _bands(signal: Samples) -> Array:
    """Return the magnitudes of the critical bands, `[T, 25]`."""
    framed = frames(signal.astype(np.float64) + _EPS)
    magnitudes = np.abs(np.fft.rfft(framed[: max(1, len(framed) - 1)], 2 * BINS)[:, :BINS])
    return np.asarray((magnitudes / magnitudes.sum(1, keepdims=True)) @ critical_filters().T)
