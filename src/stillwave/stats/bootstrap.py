"""Bootstrap 95 % intervals over recordings: of a mean, of a mean difference, and of a ratio of sums."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

RESAMPLES = 10_000
CHUNK = 4_000_000
"""Indices drawn at a time, to bound the memory for long lists (64 MB)."""


@dataclass(frozen=True)
class Interval:
    """A mean over `count` recordings with its 95 % interval; the bounds are NaN for a single recording."""

    mean: float
    low: float
    high: float
    count: int


def bootstrap(values: Sequence[float], seed: int = 0, resamples: int = RESAMPLES) -> Interval:
    """Return the mean with its percentile bootstrap interval (Efron & Tibshirani 1993) over recordings.

    Examples:
        >>> bootstrap([2.0, 2.0, 2.0])
        Interval(mean=2.0, low=2.0, high=2.0, count=3)

    """
    data = np.asarray(values, dtype=np.float64)
    mean = float(math.fsum(data) / len(data))
    return _interval(mean, len(data), (data[i].mean(1) for i in _indices(len(data), seed, resamples)))


def ratio(
    above: Sequence[float], below: Sequence[float], seed: int = 0, resamples: int = RESAMPLES
) -> Interval:
    """Return Σ above / Σ below with its bootstrap interval. `below` must be positive.

    Both numbers of a recording are resampled together.

    Examples:
        >>> ratio([1, 3], [4, 4]).mean
        0.5

    """
    top, bottom = np.asarray(above, dtype=np.float64), np.asarray(below, dtype=np.float64)
    mean = float(math.fsum(top) / math.fsum(bottom))
    draws = (top[i].mean(1) / bottom[i].mean(1) for i in _indices(len(top), seed, resamples))
    return _interval(mean, len(top), draws)


def paired(first: Mapping[str, float], second: Mapping[str, float], seed: int = 0) -> Interval | None:
    """Return the mean of first − second over the recordings in both mappings; None if there are none."""
    common = [first[name] - second[name] for name in first if name in second]
    return bootstrap(common, seed) if common else None


def _interval(mean: float, count: int, draws: Iterator[NDArray[np.float64]]) -> Interval:
    if count < 2:
        return Interval(mean, math.nan, math.nan, count)
    low, high = np.percentile(np.concatenate(list(draws)), (2.5, 97.5))
    return Interval(mean, float(low), float(high), count)


def _indices(size: int, seed: int, resamples: int) -> Iterator[NDArray[np.int64]]:
    rng = np.random.default_rng([seed, size])
    step = max(1, CHUNK // size)
    for done in range(0, resamples, step):
        yield rng.integers(0, size, (min(step, resamples - done), size))
