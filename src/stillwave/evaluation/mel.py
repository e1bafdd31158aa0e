"""Mel filters and power spectrograms as librosa computes them by default (Slaney's scale, filters of equal area).

The networks of DNSMOS P.808 and of the speaker encoder expect them; librosa itself compiles code when it is imported.
"""

from __future__ import annotations

from functools import cache

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view
from numpy.typing import NDArray

from stillwave.audio import Samples
from stillwave.schema import SAMPLE_RATE

_LINEAR_HZ = 200 / 3
"""The width of a mel below 1 kHz."""
_KNEE_HZ, _STEP = 1000.0, np.log(6.4) / 27
"""Above 1 kHz the scale is logarithmic."""


def mel_spectrogram(samples: Samples, size: int, hop: int, bands: int) -> NDArray[np.float64]:
    """Return the mel power spectrogram `[bands, frames]` of `[N]` at 16 kHz.

    Frames are centred on multiples of `hop`, with zeros beyond the ends and a periodic Hann window of `size` samples.
    """
    padded = np.pad(samples.astype(np.float64), size // 2)
    frames = sliding_window_view(padded, size)[::hop] * np.hanning(size + 1)[:-1]
    powers = np.abs(np.fft.rfft(frames)) ** 2
    return (powers @ mel_filters(size, bands).T).T


@cache
def mel_filters(size: int, bands: int) -> NDArray[np.float64]:
    """Return triangular filters `[bands, bins]` from 0 to 8 kHz for spectra of `size` samples at 16 kHz."""
    top = SAMPLE_RATE / 2
    highest = _KNEE_HZ / _LINEAR_HZ + np.log(top / _KNEE_HZ) / _STEP
    mels = np.linspace(0, highest, bands + 2)
    knee = _KNEE_HZ / _LINEAR_HZ
    edges = np.where(mels < knee, _LINEAR_HZ * mels, _KNEE_HZ * np.exp(_STEP * (mels - knee)))
    slopes = np.subtract.outer(edges, np.arange(size // 2 + 1) * SAMPLE_RATE / size)
    widths = np.diff(edges)
    rising = -slopes[:-2] / widths[:-1, None]
    falling = slopes[2:] / widths[1:, None]
    area = 2 / (edges[2:] - edges[:-2])
    return np.asarray(np.maximum(0, np.minimum(rising, falling)) * area[:, None])
