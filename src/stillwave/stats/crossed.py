"""Means over seeds and recordings, with the uncertainty of both. Axes: `[S, U]`, seed × recording.

Every student is scored on the same recordings, so seeds and recordings are *crossed random effects*: a value is the
sum of a mean, an effect of the seed, an effect of the recording, and their interaction. A conclusion should hold for
other seeds and for other recordings.

- **Interval.** A bootstrap that resamples seeds and recordings, each with replacement, and keeps the values of a seed
  and of a recording together (pigeonhole bootstrap: Owen 2007, Ann. Appl. Stat. 1). With three seeds its percentiles
  are too narrow: they cannot exceed the range of the three, and cover the true mean in about 75 % of cases if seeds
  dominate. The deviations are therefore multiplied by the ratio of the Student quantile of the standard error (below)
  to the quantile of a normal distribution with the standard deviation of the bootstrap. With many seeds the ratio is 1.
- **Test.** The t test of crossed random effects: Var(mean) = (MS_seed + MS_recording − MS_rest) / (S·U), degrees of
  freedom by Satterthwaite (Clark 1973, J. Verb. Learn. Verb. Behav. 12, for speakers and words). A sign test over three
  seeds cannot give a p value below 0.25, and a test over recordings alone does not generalise to other seeds.
- **Not covered:** another teacher, other training data, other hyperparameters. With one seed, both interval and test
  are over recordings only.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from stillwave.stats.bootstrap import CHUNK, RESAMPLES

Array = NDArray[np.float64]
K = TypeVar("K")

NORMAL = 1.959963984540054


@dataclass(frozen=True)
class Estimate:
    """A mean with its 95 % interval and the p value of a mean of 0; NaN for a single value."""

    mean: float
    low: float
    high: float
    p: float
    seeds: int
    recordings: int


def estimate(values: Array, seed: int = 0) -> Estimate | None:
    """Return the mean of `[S, U]` with interval and p value; None if no recording is complete.

    A recording without a value (NaN) for any seed is left out.
    """
    kept = complete(values)
    seeds, recordings = kept.shape
    if not kept.size:
        return None
    mean = math.fsum(kept.ravel()) / kept.size
    error, freedom = standard_error(kept)
    if math.isnan(error):
        return Estimate(mean, math.nan, math.nan, math.nan, seeds, recordings)
    if error <= 1e-12 * max(1.0, abs(mean)):  # all values are equal, except for rounding
        return Estimate(mean, mean, mean, 0.0 if mean else 1.0, seeds, recordings)
    from scipy.stats import t

    deviations = resample(kept, seed) - mean
    quantile = float(t.ppf(0.975, freedom))
    stretch = max(1.0, quantile * error / (NORMAL * float(deviations.std())))
    low, high = mean + stretch * np.percentile(deviations, (2.5, 97.5))
    p = float(2 * t.sf(abs(mean) / error, freedom))
    return Estimate(mean, float(low), float(high), p, seeds, recordings)


def complete(values: Array) -> Array:
    """Return the recordings that have a value for every seed."""
    kept: Array = values[:, ~np.isnan(values).any(0)]
    return kept


def standard_error(values: Array) -> tuple[float, float]:
    """Return the standard error of the mean of a complete `[S, U]`, and its degrees of freedom."""
    seeds, recordings = values.shape
    if seeds == 1 or recordings == 1:
        line = values.ravel()
        if len(line) == 1:
            return math.nan, math.nan
        return float(line.std(ddof=1)) / math.sqrt(len(line)), len(line) - 1.0
    by_seed, by_recording, rest = mean_squares(values)
    freedoms = (seeds - 1.0, recordings - 1.0, (seeds - 1.0) * (recordings - 1.0))
    variance = by_seed + by_recording - rest
    if variance <= max(by_seed, by_recording):  # one of the two variances is estimated as 0
        variance = max(by_seed, by_recording)
        freedom = freedoms[0] if by_seed > by_recording else freedoms[1]
    else:
        parts = zip((by_seed, by_recording, rest), freedoms, strict=True)
        freedom = variance**2 / sum(square**2 / n for square, n in parts)
    return math.sqrt(variance / values.size), freedom


def mean_squares(values: Array) -> tuple[float, float, float]:
    """Return the mean squares of seeds, recordings and the rest (two-way analysis of variance, no replicates)."""
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
    """Return the means of `RESAMPLES` resamples of the seeds and recordings of a complete `[S, U]`."""
    seeds, recordings = values.shape
    of_seeds, of_recordings = _counts(seeds, seed, 0), _counts(recordings, seed, 1)
    step = max(1, CHUNK // recordings)
    blocks = [
        ((of_seeds[i : i + step] @ values) * of_recordings[i : i + step]).sum(1)
        for i in range(0, RESAMPLES, step)
    ]
    return np.concatenate(blocks) / values.size


@lru_cache(maxsize=64)
def _counts(count: int, seed: int, stream: int) -> NDArray[np.uint16]:
    """Return how often each of `count` is drawn in each resample, `[RESAMPLES, count]`."""
    rng = np.random.default_rng([seed, stream, count])
    if count == 1:
        return np.ones((RESAMPLES, 1), dtype=np.uint16)
    return rng.multinomial(count, np.full(count, 1 / count), RESAMPLES).astype(np.uint16)


def holm(p: Mapping[K, float]) -> dict[K, float]:
    """Return p values with Holm's correction (1979) for multiple comparisons. NaN is not counted as a comparison.

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
    """Return (method − alone) / (teacher − alone) of `[S, U]`, `[S, U]` and `[1, U]`, over complete recordings.

    None if the teacher is not significantly better than the student alone.
    """
    both = ~np.isnan(method + alone + teacher).any(0)
    gap = estimate((teacher - alone)[:, both])
    if gap is None or not gap.low > 0:
        return None
    return float((method - alone)[:, both].mean()) / gap.mean
