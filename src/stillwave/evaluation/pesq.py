"""PESQ (ITU-T P.862.1 and P.862.2) by the package `pesq`, and where its value is not to be trusted."""

from __future__ import annotations

from stillwave.audio import Samples
from stillwave.errors import MetricError
from stillwave.evaluation.sdr import correlation
from stillwave.evaluation.utterances import ROOM, too_many
from stillwave.schema import SAMPLE_RATE

_GOOD, _UNLIKE, _CUT = 2.5, 0.5, 100
"""A value that is looked at again if SI-SDR is below zero; by how much the second may differ; samples left out."""


def pesq(clean: Samples, estimate: Samples, mode: str) -> float:
    """`mode`: `wb` (P.862.2) or `nb` (P.862.1), at 16 kHz. Raises MetricError where it has no value, or no sure one."""
    import pesq as program

    if too_many(clean):
        raise MetricError(f"too long for PESQ (it has room for {ROOM} utterances); score it in parts")
    try:
        value = float(program.pesq(SAMPLE_RATE, clean, estimate, mode))
        if value > _GOOD and correlation(clean, estimate) ** 2 < 0.5:  # SI-SDR below zero
            _check_aligned(value, float(program.pesq(SAMPLE_RATE, clean[_CUT:], estimate[_CUT:], mode)))
        return value
    except program.NoUtterancesError:
        raise MetricError("PESQ found no utterance") from None
    except program.BufferTooShortError:
        raise MetricError("too short for PESQ (a quarter of a second at least)") from None


def _check_aligned(value: float, cut: float) -> None:
    """PESQ aligns the two in time, and may fail where little speech is left: it was seen to give 4.28 to such an
    estimate, and 2.36 to the same without the first 100 samples. A delay, which lowers SI-SDR too, does not do that.
    """
    if abs(value - cut) > _UNLIKE:
        raise MetricError(
            f"PESQ cannot align the two: {value:.2f}, but {cut:.2f} without the first {_CUT} samples"
        )
