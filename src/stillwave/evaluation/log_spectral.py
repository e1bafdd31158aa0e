"""LSD: log-spectral distance over the whole band, at the sampling rate of the files, in dB; lower is better.

As in the evaluation program of the URGENT 2025 challenge (`lsd_metric`), which returns nepers of power: here in dB,
4.343 times as much. The estimate is scaled to the reference. Frames of 32 ms every 16 ms, centred; the root of the mean
square over bins, then the mean over frames. Digital silence counts much: 80 dB in the reference, and in the estimate
some 100 dB where the reference is speech.
"""

from __future__ import annotations

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view
from numpy.typing import NDArray

from stillwave.audio import Samples

_EPS = 1e-8


def lsd(clean: Samples, estimate: Samples, rate: int) -> float:
    """Return the distance of signals `[N]` at `rate` in dB."""
    x, y = clean.astype(np.float64), estimate.astype(np.float64)
    y = y * ((x * y).sum() / ((y * y).sum() + _EPS))
    reference, other = _magnitudes(x, rate), _magnitudes(y, rate)
    difference = 10 * np.log10(reference**2 / (other + _EPS) ** 2 + _EPS)
    return float(np.sqrt((difference**2).mean(1)).mean())


def _magnitudes(signal: NDArray[np.float64], rate: int) -> NDArray[np.float64]:
    """Return magnitudes `[frames, bins]`, with zeros beyond the ends and a periodic Hann window."""
    size, hop = int(0.032 * rate), int(0.016 * rate)
    frames = sliding_window_view(np.pad(signal, size // 2), size)[::hop]
    return np.asarray(np.abs(np.fft.rfft(frames * np.hanning(size + 1)[:-1])))
