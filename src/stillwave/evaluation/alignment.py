"""How an estimate lies in time to its reference, and its polarity: what no score tells from distortion.

The lag is sought first. The correlation of speech with itself some samples later is often negative, so that at lag 0
a late estimate looks like an inverted one.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from stillwave.audio import Samples
from stillwave.evaluation.sdr import centred, correlation

MOST_SECONDS = 0.5
"""Lags up to this are looked for."""
INVERTED = -0.1
"""A correlation with the reference below this is one of opposite polarity, and no chance (SI-SDR −20 dB)."""
CLEAR = 0.4
"""A lag is reported where the correlation there is at least this (SI-SDR −7 dB), and"""
GAIN = 2.0
"""where taking it into account raises the SI-SDR by 3 dB at least."""


class Alignment(NamedTuple):
    """`lag`: samples by which the estimate is late (early, if below 0). `inverted`: its polarity is the opposite."""

    lag: int = 0
    inverted: bool = False


def alignment(clean: Samples, estimate: Samples, rate: int) -> Alignment:
    """Compare signals `[N]` of one length.

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
    """The lag, up to `most`, of the greatest correlation of either sign, and that correlation."""
    s, e = centred(clean), centred(estimate)
    most = min(most, len(s) - 1)
    size = 1 << (len(s) + most - 1).bit_length()
    products = np.fft.irfft(np.fft.rfft(e, size) * np.conj(np.fft.rfft(s, size)), size)
    products = np.concatenate([products[size - most :], products[: most + 1]])  # lags −most … most
    place = int(np.abs(products).argmax())
    scale = float(np.sqrt((s * s).sum() * (e * e).sum()))
    return place - most, float(products[place]) / max(scale, 1e-300)


def _ratio(correlation: float) -> float:
    """Signal to distortion, as SI-SDR has it, of an estimate of this correlation."""
    squared = min(correlation * correlation, 1 - 1e-9)
    return squared / (1 - squared)
