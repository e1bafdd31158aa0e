"""Metrics of the band above 8 kHz, at the sampling rate of the files. Signals: `[N]`, full scale ±1.

Spectra have a periodic Hann window of 43 ms (2048 samples at 44.1 and 48 kHz), a hop of a quarter of it, and no
padding. Only bins from 8 kHz to below half the sampling rate count.

**`lsd_high`**: the log-spectral distance (A. H. Gray, J. D. Markel, "Distance measures for speech processing", IEEE
Trans. ASSP 24(5), 1976) of the power spectra in dB: the root of the mean square over bins, then the mean over all
frames. Both spectra are floored 40 dB below the mean power of a bin of the reference. What is softer in both counts as
equal, and an estimate without treble has a finite distance. Lower is better.

**`noise_high`**: the power of the estimate relative to that of the noisy input, in dB, in the pauses of the reference:
frames at least 40 dB softer, over all frequencies, than its loudest frame. It is 0 for the noisy input and at least
−60. Lower is better. An estimate that is softer as a whole is softer here, too; `lsd_high` shows what that costs.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import NamedTuple

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view
from numpy.typing import NDArray

from stillwave.audio import Samples
from stillwave.errors import MetricError

EDGE = 8_000
"""The lowest frequency that counts, in Hz."""
LOWEST_RATE = 22_050
"""The lowest sampling rate at which the band above 8 kHz is scored, in Hz."""
FLOOR = 1e-4
"""The floor of spectra, relative to the mean power of a bin of the reference (−40 dB)."""
PAUSE = 1e-4
"""The largest power of a frame in a pause, relative to the loudest frame (−40 dB)."""
LEAST = 1e-6
"""The lowest ratio of powers in `noise_high` (−60 dB)."""
SHORTEST_PAUSE = 0.1
"""The shortest duration of all pauses together, in s."""
SHARE = 1e-6
"""A reference whose power above 8 kHz is a smaller part of its power (−60 dB) has nothing there,"""
EMPTY = 10**-9.5
"""nor has a signal whose power there is less than −95 dBFS. The rounding to 16 bits is at −103 dBFS."""
_BLOCK = 256  # frames that are transformed at once

Powers = NDArray[np.float64]


class FullBand(NamedTuple):
    """Signals at the sampling rate of their files. `noisy` is the noisy input, or why there is none."""

    clean: Samples
    estimate: Samples
    rate: int
    noisy: Samples | str = "there is no noisy input; give it with --noisy or --on"


def lsd_high(signals: FullBand) -> float:
    """Return the log-spectral distance above 8 kHz in dB.

    Raises:
        MetricError: The sampling rate is too low, or the reference is too short or has nothing above 8 kHz.

    """
    clean, estimate, rate, _ = signals
    _check(clean, rate)
    floor = FLOOR * _mean_power(clean, rate)
    distances = [
        np.sqrt(((_decibels(_above(c, rate), floor) - _decibels(_above(e, rate), floor)) ** 2).mean(1))
        for c, e in zip(_spectra(clean, rate), _spectra(estimate, rate), strict=True)
    ]
    return float(np.concatenate(distances).mean())


def noise_high(signals: FullBand) -> float:
    """Return the level of the noise left above 8 kHz in pauses, in dB relative to the noisy input.

    Raises:
        MetricError: The sampling rate is too low, there is no noisy input, the reference is too short or has no
            pause, or the noisy input has nothing above 8 kHz there.

    """
    clean, estimate, rate, noisy = signals
    _check(clean, rate)
    if isinstance(noisy, str):
        raise MetricError(noisy)
    if len(noisy) != len(clean):
        raise MetricError(f"lengths differ: {len(clean)} samples of reference, {len(noisy)} of noisy input")
    levels = np.concatenate([block.sum(1) for block in _spectra(clean, rate)])
    pauses = levels <= PAUSE * levels.max()
    if pauses.sum() * (_window(rate) // 4) < SHORTEST_PAUSE * rate:
        raise MetricError(f"the reference has less than {SHORTEST_PAUSE} s of pauses")
    before, after = (float(_levels_above(signal, rate)[pauses].mean()) for signal in (noisy, estimate))
    if before < EMPTY:
        raise MetricError("the noisy input has nothing above 8 kHz in pauses of the reference")
    return float(10 * np.log10(max(after / before, LEAST)))


def _check(clean: Samples, rate: int) -> None:
    if rate < LOWEST_RATE:
        raise MetricError(f"a sampling rate of {rate} Hz is too low for scores above 8 kHz")
    if len(clean) < _window(rate):
        raise MetricError(f"too short for scores above 8 kHz (at least {_window(rate)} samples)")


def _mean_power(clean: Samples, rate: int) -> float:
    """Return the mean power of a bin above 8 kHz. Raise MetricError if the reference has nothing there."""
    whole = np.concatenate([block.sum(1) for block in _spectra(clean, rate)]).mean()
    treble = _levels_above(clean, rate).mean()
    if treble < max(SHARE * whole, EMPTY):
        raise MetricError("the reference has nothing above 8 kHz")
    return float(treble) / _bins_above(rate)


def _levels_above(signal: Samples, rate: int) -> Powers:
    """Return the power of each frame above 8 kHz, `[frames]`; 1 is the power of a full-scale square wave."""
    return np.concatenate([_above(block, rate).sum(1) for block in _spectra(signal, rate)])


def _spectra(signal: Samples, rate: int) -> Iterator[Powers]:
    """Yield power spectra without 0 Hz, `[frames, bins]`; the sum over bins is the mean square of a frame."""
    size = _window(rate)
    window = np.hanning(size + 1)[:-1]
    frames = sliding_window_view(signal, size)[:: size // 4]
    for start in range(0, len(frames), _BLOCK):
        spectra = np.fft.rfft(frames[start : start + _BLOCK] * window)[:, 1:-1]
        yield 2 / (size * (window**2).sum()) * np.abs(spectra) ** 2


def _above(spectra: Powers, rate: int) -> Powers:
    """Return the bins from 8 kHz on."""
    return spectra[:, -_bins_above(rate) :]


def _bins_above(rate: int) -> int:
    return _window(rate) // 2 - math.ceil(EDGE * _window(rate) / rate)


def _window(rate: int) -> int:
    """Return the power of two nearest to 43 ms, in samples."""
    return int(2 ** round(math.log2(2048 / 48_000 * rate)))


def _decibels(spectra: Powers, floor: float) -> Powers:
    return 10 * np.log10(np.maximum(spectra, floor))
