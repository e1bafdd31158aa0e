"""The lag and polarity of an estimate, which metrics cannot distinguish from distortion.

The lag is estimated first: the autocorrelation of speech at a lag of a few samples is often negative, so that a late
estimate would appear inverted at lag 0.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from stillwave.audio import Samples
from stillwave.evaluation.sdr import centred, correlation

MOST_SECONDS = 0.5
"""The largest lag that is searched."""
INVERTED = -0.1
"""A correlation below this means opposite polarity (SI-SDR above −20 dB)."""
CLEAR = 0.4
"""A lag is reported if the correlation there is at least this (SI-SDR −7 dB),"""
GAIN = 2.0
"""and if aligning the signals raises the SI-SDR by at least 3 dB."""


class Alignment(NamedTuple):
    """The delay of an estimate in samples (negative: early), and whether its polarity is opposite."""

    lag: int = 0
    inverted: bool = False


def alignment(clean: Samples, estimate: Samples, rate: int) -> Alignment:
    """Return the lag and polarity of an estimate `[N]` relative to a reference of the same length.

    Examples:
        >>> voice = np.random.default_rng(0).standard_normal(8_000).astype(np.float32)
        >>> alignment(voice, -np.roll(voice, 40), 16_000)
        Alignment(lag=40, inverted=True)

    """
    here = correlation(clean, estimate)
    lag, there = _strongest(clean, estimate, round(MOST_SECONDS * rate))
    late = lag != 0 and abs(there) >= CLEAR and _ratio(there) > GAIN * _ratio(here)
    if late:
        return Alignment(lag, there < 0)
    return Alignment(0, here < INVERTED and there < 0)


def _strongest(clean: Samples, estimate: Samples, most: int) -> tuple[int, float]:
    """Return the lag, up to `most`, with the largest absolute correlation, and that correlation."""
    s, e = centred(clean), centred(estimate)
    most = min(most, len(s) - 1)
    size = 1 << (len(s) + most - 1).bit_length()
    products = np.fft.irfft(np.fft.rfft(e, size) * np.conj(np.fft.rfft(s, size)), size)
    products = np.concatenate([products[size - most :], products[: most + 1]])  # lags −most … most
    place = int(np.abs(products).argmax())
    scale = float(np.sqrt((s * s).sum() * (e * e).sum()))
    return place - most, float(products[place]) / max(scale, 1e-300)


def _ratio(correlation: float) -> float:
    """Return the signal-to-distortion ratio (as in SI-SDR) of an estimate with this correlation."""
    squared = min(correlation * correlation, 1 - 1e-9)
    return squared / (1 - squared)
