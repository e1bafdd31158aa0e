"""PESQ (ITU-T P.862.1 and P.862.2) with the package `pesq`, and a check of unreliable values."""

from __future__ import annotations

from stillwave.audio import Samples
from stillwave.errors import MetricError
from stillwave.evaluation.sdr import correlation
from stillwave.evaluation.utterances import ROOM, too_many
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
