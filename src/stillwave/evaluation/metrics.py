"""Score an estimate with metrics by key (`metric_table.py`). Signals: `[N]` at 16 kHz, full scale ±1.

A metric without a value has a reason: `Score(None, reason)`. Missing values are never replaced by a number.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from stillwave.audio import Samples
from stillwave.errors import MetricError, MissingExtraError, nearest
from stillwave.evaluation.alignment import Alignment, alignment
from stillwave.evaluation.full_band import FullBand
from stillwave.evaluation.metric_table import DEFAULT, METRICS, NO_REFERENCE, UNAVAILABLE, WORDS, Metric
from stillwave.evaluation.signal_pair import SignalPair, fault_of, find_fault
from stillwave.evaluation.transcripts import TranscriptPair
from stillwave.schema import SAMPLE_RATE

__all__ = [
    "DEFAULT",
    "METRICS",
    "NO_REFERENCE",
    "WORDS",
    "Metric",
    "Score",
    "SignalPair",
    "aligned",
    "choose",
    "score",
    "score_alone",
    "unscored",
]
_EMPTY: Samples = np.zeros(0, np.float32)


class Score(NamedTuple):
    """A value, or the reason for its absence; exactly one of the two is None."""

    value: float | None
    reason: str | None = None


def choose(keys: Sequence[str], recogniser: bool = False) -> tuple[str, ...]:
    """Return metric keys, checked and without repeats; with a recogniser `wer` is always included.

    Raises:
        MetricError: An unknown key, a metric that is not available, or one that needs a recogniser without one.
        MissingExtraError: The package of a metric is not installed.

    """
    if recogniser and not any(key == "wer" for key in keys):
        keys = [*keys, "wer"]
    for key in keys:
        if key in UNAVAILABLE:
            raise MetricError(f"the metric '{key}' is not available: {UNAVAILABLE[key]}")
        if key not in METRICS:
            raise MetricError(f"there is no metric '{key}'; {nearest(key, METRICS)}")
        if METRICS[key].words and not recogniser:
            raise MetricError(
                f"the metric '{key}' needs a recogniser, e.g. `stillwave evaluate … --recogniser pocketsphinx`"
            )
        _check_installed(METRICS[key])
    return tuple(dict.fromkeys(keys))


def _check_installed(metric: Metric) -> None:
    import importlib.util

    for module, extra in metric.extras:
        if importlib.util.find_spec(module) is None:
            raise MissingExtraError(f"the metric '{metric.key}'", extra)
    for module, command in metric.wheels:
        if importlib.util.find_spec(module) is None:
            raise MetricError(f"the metric '{metric.key}' needs {module}: {command}")


def score(
    clean: Samples,
    estimate: Samples,
    keys: Sequence[str],
    transcripts: TranscriptPair | None = None,
    full_band: FullBand | None = None,
) -> dict[str, Score]:
    """Score an estimate against its clean reference.

    Args:
        clean: The clean reference, `[N]` at 16 kHz.
        estimate: The estimate, `[N]` at 16 kHz, aligned with the reference.
        keys: Keys of `METRICS`.
        transcripts: The transcripts of both, for `wer` and `t1`.
        full_band: The signals at the sampling rate of their files; by default those at 16 kHz.

    Returns:
        By metric, a value or the reason for its absence.

    """
    fault = find_fault(clean, estimate)
    if fault:
        return unscored(fault, keys, transcripts)
    pair = SignalPair(clean, estimate, transcripts, full_band)
    return {key: _score(METRICS[key], pair) for key in keys}


def score_alone(
    estimate: Samples, keys: Sequence[str], reason: str, transcripts: TranscriptPair | None = None
) -> dict[str, Score]:
    """Score an estimate `[N]` at 16 kHz without a clean reference; metrics that require one get the `reason`."""
    fault = fault_of("the estimate", estimate)
    pair = SignalPair(_EMPTY, estimate, transcripts)
    alone = {key for key in keys if not METRICS[key].reference}
    return {
        **unscored(reason, keys, transcripts),
        **{key: Score(None, fault) if fault else _score(METRICS[key], pair) for key in keys if key in alone},
    }


def unscored(reason: str, keys: Sequence[str], transcripts: TranscriptPair | None = None) -> dict[str, Score]:
    """Return a reason for every metric; metrics of transcripts only are computed if there are transcripts."""
    pair = SignalPair(_EMPTY, _EMPTY, transcripts)
    return {
        key: Score(None, reason)
        if transcripts is None or METRICS[key].signals
        else _score(METRICS[key], pair)
        for key in keys
    }


def _score(metric: Metric, pair: SignalPair) -> Score:
    try:
        value = float(metric.compute(pair))
    except MetricError as error:
        return Score(None, str(error))
    except Exception as error:  # packages raise any exception; each becomes a counted reason
        return Score(None, f"{type(error).__name__}: {' '.join(str(error).split()) or 'no message'}")
    return Score(value) if np.isfinite(value) else Score(None, f"is {value}")


def aligned(clean: Samples, estimate: Samples) -> Alignment:
    """Return the lag and polarity of an estimate, which most metrics do not show; 0 for invalid signals."""
    return Alignment() if find_fault(clean, estimate) else alignment(clean, estimate, SAMPLE_RATE)
