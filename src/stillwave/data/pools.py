"""Recordings of one or several weighted sources, and the order in which examples use them.

The share of a source is its weight over the sum of all weights: the probability that the utterance (or a noise, or the
room) of an example comes from it. Noises and rooms are drawn with that probability. Utterances follow a fixed order,
`SamplingOrder`: shares are exact, and all utterances of a source are used before any is repeated.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from stillwave.data.manifest import Recording

LONGEST_BLOCK = 1000
"""Largest block of examples within which shares are exact; other weights are rounded to thousandths."""

_ORDER = 1
_SOURCES = 2
"""Last values of the seeds of the two kinds of permutation."""


@dataclass(frozen=True)
class WeightedPool:
    """The recordings of one source, and its weight."""

    recordings: Sequence[Recording]
    weight: float = 1.0


Pool = Sequence[Recording] | Sequence[WeightedPool]
"""Recordings of one source, or several sources."""


def parts_of(pool: Pool) -> list[WeightedPool]:
    """Return the non-empty sources of a pool.

    Examples:
        >>> parts_of([])
        []

    """
    parts = [item for item in pool if isinstance(item, WeightedPool)]
    rest = [item for item in pool if isinstance(item, Recording)]
    return [part for part in [*parts, WeightedPool(rest)] if part.recordings]


def recordings_of(pool: Pool) -> list[Recording]:
    """Return all recordings of a pool, source by source."""
    return [recording for part in parts_of(pool) for recording in part.recordings]


class Utterance(NamedTuple):
    """A recording of speech and the index of its source, as one recording may be in several sources."""

    recording: Recording
    source: int


def shares(parts: Sequence[WeightedPool]) -> npt.NDArray[np.float64]:
    """Return the share of each source, `[sources]`; their sum is 1."""
    weights = np.array([part.weight for part in parts])
    return np.asarray(weights / weights.sum())


def block_counts(weights: Sequence[float]) -> list[int]:
    """Return the examples of each source in a block: the smallest whole numbers in the ratio of the weights.

    If their sum exceeds `LONGEST_BLOCK`, the nearest numbers of about that sum, each at least 1.

    Examples:
        >>> block_counts([3, 1]), block_counts([0.5, 0.25, 0.25])
        ([3, 1], [2, 1, 1])

    """
    exact = [Fraction(str(weight)) for weight in weights]
    common = math.lcm(*(weight.denominator for weight in exact))
    counts = [int(weight * common) for weight in exact]
    divisor = math.gcd(*counts)
    counts = [count // divisor for count in counts]
    if sum(counts) <= LONGEST_BLOCK:
        return counts
    return [max(1, round(LONGEST_BLOCK * weight / sum(exact))) for weight in exact]


class SamplingOrder:
    """The utterance that example `index` of an epoch starts with, as a pure function of (seed, epoch, index).

    Sources alternate in shuffled blocks of `block_counts`; each pass over the recordings of a source has a new random
    order. With one source the order is a permutation of its recordings.
    """

    def __init__(self, parts: Sequence[WeightedPool], seed: int) -> None:
        self._parts = list(parts)
        self._seed = seed
        self._counts = block_counts([part.weight for part in parts]) if parts else []
        self._kept: dict[int, tuple[tuple[int, int], Any]] = {}

    def __call__(self, epoch: int, index: int) -> Utterance:
        """Return the recording that example `index` of an epoch starts from."""
        part, place = (0, index) if len(self._parts) == 1 else self._source(epoch, index)
        recordings = self._parts[part].recordings
        turn, within = divmod(place, len(recordings))
        if self._kept.get(part, (None,))[0] != (epoch, turn):
            last = (part,) if len(self._parts) > 1 else ()
            rng = np.random.default_rng([self._seed, epoch, turn, _ORDER, *last])
            self._kept[part] = ((epoch, turn), rng.permutation(len(recordings)))
        return Utterance(recordings[int(self._kept[part][1][within])], part)

    def _source(self, epoch: int, index: int) -> tuple[int, int]:
        """Return the source of an example, and how many earlier examples had that source."""
        block, within = divmod(index, sum(self._counts))
        if self._kept.get(-1, (None,))[0] != (epoch, block):
            rng = np.random.default_rng([self._seed, epoch, block, _SOURCES])
            self._kept[-1] = (
                (epoch, block),
                rng.permutation(np.repeat(np.arange(len(self._counts)), self._counts)),
            )
        sources = self._kept[-1][1]
        part = int(sources[within])
        return part, block * self._counts[part] + int(np.count_nonzero(sources[:within] == part))

    def __getstate__(self) -> dict[str, Any]:
        return {**self.__dict__, "_kept": {}}
