"""Spectrograms of reports."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from stillwave.audio import Samples

Decibels = npt.NDArray[np.float64]

RANGE_DB = 75.0
"""The range of the colours below the maximum."""
COLOUR_MAP = "magma"
COLUMNS = 900
"""The most frames; longer recordings have a larger hop."""
_WINDOW, _HOP = 512, 128
_FLOOR = 1e-10


def spectrogram(samples: Samples) -> Decibels:
    """Return the power of mono samples `[N]` in dB, `[257, frames]`: Hann windows of 512 samples, hop 128 or more."""
    hop = max(_HOP, -(-len(samples) // COLUMNS))
    padded = np.pad(samples.astype(np.float64), _WINDOW // 2)
    windows = np.lib.stride_tricks.sliding_window_view(padded, _WINDOW)[::hop]
    power = np.abs(np.fft.rfft(windows * np.hanning(_WINDOW))) ** 2
    return np.asarray(10 * np.log10(np.maximum(power.T, _FLOOR)))
