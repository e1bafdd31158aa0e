"""Means over seeds and recordings, with what both of them leave uncertain. Axes: `[S, U]`, seed × recording.

Every student is scored on the same recordings, so seeds and recordings are *crossed*: a value is the mean, plus
what the seed does, plus what the recording does, plus what both do together. Training again gives other seeds,
recording again other recordings, and a claim should hold for both.

- **Interval.** Bootstrap that draws seeds and recordings, each with replacement, and keeps a seed's and a
  recording's values together (the pigeonhole bootstrap: Owen 2007, Ann. Appl. Stat. 1). With three seeds its
  percentiles are much too narrow: they cannot leave the range of the three, and cover the truth in about 75 % of
  cases where seeds are what matters. So its deviations are stretched by the ratio of the standard error's Student
  quantile (below) to the same of a normal distribution and of the bootstrap. With many seeds the ratio is 1.
- **Test.** The t test of crossed random effects: Var(mean) = (MS_seed + MS_recording − MS_rest) / (S·U), degrees of
  freedom by Satterthwaite (Clark 1973, J. Verb. Learn. Verb. Behav. 12: the same with speakers and words). A sign
  flip of three seeds could not give a p below 0.25, and one of recordings alone says nothing of other seeds.
- **Not covered:** another teacher, other training material, other hyperparameters. With one seed both speak of
  the recordings alone.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]
K = TypeVar("K")

RESAMPLES = 10_000
NORMAL = 1.959963984540054
_BLOCK = 4_000_000


@dataclass(frozen=True)
class Estimate:
    """A mean with its 95 % interval and the p value of "it is 0" (NaN where one value is all there is)."""

    mean: float
    low: float
    high: float
    p: float
    seeds: int
    recordings: int

    @property
    def found(self) -> bool:
        """Whether the interval leaves 0 out."""
        return self.low > 0 or self.high < 0


def estimate(values: Array, seed: int = 0) -> Estimate | None:
    """Of a matrix `[S, U]`. A recording without a value (NaN) for some seed is left out; None if nothing is left."""
    whole = complete(values)
    seeds, recordings = whole.shape
    if not whole.size:
        return None
    mean = math.fsum(whole.ravel()) / whole.size
    error, freedom = standard_error(whole)
    if math.isnan(error):
        return Estimate(mean, math.nan, math.nan, math.nan, seeds, recordings)
    if error <= 1e-12 * max(1.0, abs(mean)):  # all values agree but for rounding
        return Estimate(mean, mean, mean, 0.0 if mean else 1.0, seeds, recordings)
    from scipy.stats import t

    deviations = resample(whole, seed) - mean
    quantile = float(t.ppf(0.975, freedom))
    stretch = max(1.0, quantile * error / (NORMAL * float(deviations.std())))
    low, high = mean + stretch * np.percentile(deviations, (2.5, 97.5))
    p = float(2 * t.sf(abs(mean) / error, freedom))
    return Estimate(mean, float(low), float(high), p, seeds, recordings)


def complete(values: Array) -> Array:
    """Without the recordings that lack a value for some seed."""
    kept: Array = values[:, ~np.isnan(values).any(0)]
    return kept


def standard_error(values: Array) -> tuple[float, float]:
    """Of the mean of a complete `[S, U]`, and its degrees of freedom; NaN of a single value."""
    seeds, recordings = values.shape
    if seeds == 1 or recordings == 1:
        line = values.ravel()
        if len(line) == 1:
            return math.nan, math.nan
        return float(line.std(ddof=1)) / math.sqrt(len(line)), len(line) - 1.0
    by_seed, by_recording, rest = mean_squares(values)
    freedoms = (seeds - 1.0, recordings - 1.0, (seeds - 1.0) * (recordings - 1.0))
    variance = by_seed + by_recording - rest
    if variance <= max(by_seed, by_recording):  # no sign of one of the two: the other is all there is
        variance = max(by_seed, by_recording)
        freedom = freedoms[0] if by_seed > by_recording else freedoms[1]
    else:
        parts = zip((by_seed, by_recording, rest), freedoms, strict=True)
        freedom = variance**2 / sum(square**2 / n for square, n in parts)
    return math.sqrt(variance / values.size), freedom


def mean_squares(values: Array) -> tuple[float, float, float]:
    """Of seeds, of recordings and of the rest, as in an analysis of variance without repeats."""
    seeds, recordings = values.shape
    mean = values.mean()
    of_seed, of_recording = values.mean(1), values.mean(0)
    rest = values - of_seed[:, None] - of_recording + mean
    return (
        float(recordings * ((of_seed - mean) ** 2).sum() / (seeds - 1)),
        float(seeds * ((of_recording - mean) ** 2).sum() / (recordings - 1)),
        float((rest**2).sum() / ((seeds - 1) * (recordings - 1))),
    )


def resample(values: Array, seed: int = 0) -> Array:
    """Means of `RESAMPLES` draws of seeds and recordings of a complete `[S, U]`."""
    seeds, recordings = values.shape
    of_seeds, of_recordings = _draws(seeds, seed, 0), _draws(recordings, seed, 1)
    step = max(1, _BLOCK // recordings)
    blocks = [
        ((of_seeds[i : i + step] @ values) * of_recordings[i : i + step]).sum(1)
        for i in range(0, RESAMPLES, step)
    ]
    return np.concatenate(blocks) / values.size


@lru_cache(maxsize=64)
def _draws(count: int, seed: int, stream: int) -> NDArray[np.uint16]:
    """How often each of `count` is drawn, `[RESAMPLES, count]`; the same for all that have as many."""
    rng = np.random.default_rng([seed, stream, count])
    if count == 1:
        return np.ones((RESAMPLES, 1), dtype=np.uint16)
    return rng.multinomial(count, np.full(count, 1 / count), RESAMPLES).astype(np.uint16)


def holm(p: Mapping[K, float]) -> dict[K, float]:
    """Holm's correction (1979) for as many comparisons as there are; NaN is no comparison and stays.

    Examples:
        >>> holm({"a": 0.01, "b": 0.04, "c": 0.03})
        {'a': 0.03, 'b': 0.06, 'c': 0.06}

    """
    known = sorted((key for key in p if not math.isnan(p[key])), key=lambda key: p[key])
    adjusted: dict[K, float] = {}
    largest = 0.0
    for rank, key in enumerate(known):
        largest = max(largest, min(1.0, (len(known) - rank) * p[key]))
        adjusted[key] = largest
    return {key: adjusted.get(key, math.nan) for key in p}


def gap_closed(method: Array, alone: Array, teacher: Array) -> float | None:
    """(method − alone) / (teacher − alone), of `[S, U]`, `[S, U]` and `[1, U]`, over what all three have.

    None where the teacher is not clearly ahead: a share of nothing means nothing.
    """
    both = ~np.isnan(method + alone + teacher).any(0)
    gap = estimate((teacher - alone)[:, both])
    if gap is None or not gap.low > 0:
        return None
    return float((method - alone)[:, both].mean()) / gap.mean
