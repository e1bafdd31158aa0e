"""Filter with smooth random frequency responses, as of microphones, loudspeakers and distances.

Speech (with its target) and noise are filtered separately, as each has its own path to the microphone. The gain is
real, so that noisy signal and target stay aligned.
"""

from __future__ import annotations

import functools

import numpy as np
import numpy.typing as npt

from stillwave.audio import Samples
from stillwave.data.effects import fast_length

_KNOTS_HZ = np.array([60.0, 180.0, 540.0, 1600.0, 4000.0, 8000.0])
"""Frequencies at which gains are drawn, about 1.5 octaves apart; the curve is constant outside them."""
_RING = 1024
"""Padding in samples against circular wrap-around of the response."""


def draw_curve(rng: np.random.Generator, most_db: float) -> npt.NDArray[np.float64]:
    """Draw gains in dB at the knots, within ±`most_db` and with a mean near 0."""
    gains = rng.uniform(-most_db, most_db, len(_KNOTS_HZ)) * rng.uniform(0.3, 1)
    return np.asarray(np.clip(gains - gains.mean(), -most_db, most_db))


def gain_db(curve: npt.NDArray[np.float64], hertz: npt.NDArray[np.floating]) -> npt.NDArray[np.float64]:
    """Interpolate the curve at any frequencies, by a cosine over the logarithm of frequency."""
    before, smooth = _places(hertz)
    return np.asarray(curve[before] + (curve[before + 1] - curve[before]) * smooth)


def equalise(samples: Samples, curve: npt.NDArray[np.float64], rate: int) -> Samples:
    """One or several signals `[..., N]` through a curve of gains, without delay."""
    frames = samples.shape[-1]
    points = fast_length(frames + _RING)
    before, smooth = _places_of_bins(points, rate)
    nepers = (curve * (np.log(10) / 20)).astype(np.float32)
    gain = np.exp(nepers[before] + np.diff(nepers)[before] * smooth)
    coloured = np.fft.irfft(np.fft.rfft(samples, points) * gain, points)
    return coloured[..., :frames].astype(np.float32, copy=False)


@functools.lru_cache(maxsize=16)
def _places_of_bins(points: int, rate: int) -> tuple[npt.NDArray[np.int64], Samples]:
    before, smooth = _places(np.fft.rfftfreq(points, 1 / rate))
    return before, smooth.astype(np.float32)


def _places(hertz: npt.NDArray[np.floating]) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.float64]]:
    """The knot below each frequency, and how much of the next one's gain it gets."""
    places = np.interp(np.log(np.maximum(hertz, 1.0)), np.log(_KNOTS_HZ), np.arange(len(_KNOTS_HZ)))
    before = np.minimum(places.astype(np.int64), len(_KNOTS_HZ) - 2)
    return before, 0.5 - 0.5 * np.cos(np.pi * (places - before))
