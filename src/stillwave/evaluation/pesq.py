"""PESQ (ITU-T P.862.1 and P.862.2) with the package `pesq`, and a check of unreliable values.

The program of P.862 has room for 50 utterances and writes out of bounds beyond. It counts segments of at least 200 ms
above a threshold that it estimates, and closes pauses of up to 200 ms. Here the segments are counted for every
threshold, so that the count is an upper bound.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from stillwave.audio import Samples
from stillwave.errors import MetricError
from stillwave.evaluation.sdr import correlation
from stillwave.schema import SAMPLE_RATE

_GOOD, _UNLIKE, _CUT = 2.5, 0.5, 100
"""Above `_GOOD` with an SI-SDR below 0 dB, PESQ without the first `_CUT` samples must be within `_UNLIKE`."""


def pesq(clean: Samples, estimate: Samples, mode: str) -> float:
    """Return PESQ at 16 kHz, `wb` (P.862.2) or `nb` (P.862.1). Raises MetricError for no or an unreliable value."""
    import pesq as program

    if too_many(clean):
        raise MetricError(f"too long for PESQ (at most {ROOM} utterances); score it in parts")
    try:
        value = float(program.pesq(SAMPLE_RATE, clean, estimate, mode))
        if value > _GOOD and correlation(clean, estimate) ** 2 < 0.5:  # SI-SDR below zero
            _check_aligned(value, float(program.pesq(SAMPLE_RATE, clean[_CUT:], estimate[_CUT:], mode)))
        return value
    except program.NoUtterancesError:
        raise MetricError("PESQ found no utterance") from None
    except program.BufferTooShortError:
        raise MetricError("too short for PESQ (at least 0.25 s)") from None


def _check_aligned(value: float, cut: float) -> None:
    """Raise MetricError if two values differ. PESQ aligns the signals in time, which fails if little speech is left:
    one such estimate got 4.28, and 2.36 without its first 100 samples. A plain delay does not have this effect.
    """
    if abs(value - cut) > _UNLIKE:
        raise MetricError(
            f"PESQ cannot align the signals: {value:.2f}, but {cut:.2f} without the first {_CUT} samples"
        )


_FRAME = SAMPLE_RATE // 250
_SHORTEST = 50  # frames of an utterance, and of a pause between two
_BLIP = 4  # frames above the threshold that do not count as speech
ROOM = 50
_MARGIN = 5  # the program filters before it decides
_SAFE = ROOM * 2 * _SHORTEST * _FRAME  # shorter signals (20 s) cannot contain more


def too_many(clean: Samples) -> bool:
    """Return whether PESQ may find more utterances in a reference `[N]` at 16 kHz than it has room for."""
    return len(clean) >= _SAFE and most_utterances(clean) > ROOM - _MARGIN


def most_utterances(clean: Samples) -> int:
    """Return the largest number of utterances over all thresholds, in steps of 1 dB."""
    frames = clean[: len(clean) // _FRAME * _FRAME].reshape(-1, _FRAME).astype(np.float64)
    decibels = 10 * np.log10(np.maximum((frames**2).mean(1), 1e-12))
    steps = np.arange(np.floor(decibels.min()), decibels.max(), 1.0)
    return max((_utterances(decibels > step) for step in steps), default=0)


def _utterances(active: NDArray[np.bool_]) -> int:
    edges = np.flatnonzero(np.diff(np.pad(active.astype(np.int8), 1)))
    starts, ends = edges[::2], edges[1::2]
    long = ends - starts > _BLIP
    starts, ends = starts[long], ends[long]
    apart = starts[1:] - ends[:-1] > _SHORTEST
    starts = starts[np.concatenate(([True], apart))] if len(starts) else starts
    ends = ends[np.concatenate((apart, [True]))] if len(ends) else ends
    return int((ends - starts >= _SHORTEST).sum())
