"""The sentences say what the intervals allow, and no more."""

from __future__ import annotations

import math

import pytest

from stillwave.quickstart import verdict
from stillwave.stats.bootstrap import Interval


def interval(low: float, high: float) -> Interval:
    return Interval((low + high) / 2, low, high, 36)


def gains(student: Interval | None, teacher: Interval | None) -> dict:
    return {"distilled": {"si_sdr": student}, "teacher": {"si_sdr": teacher}}


CLEAR = interval(3.0, 5.0)


@pytest.mark.parametrize(
    ("student", "teacher", "text"),
    [
        (
            interval(3.0, 4.2),
            CLEAR,
            "keeps 90 % of its gain: +3.60 dB over the noisy recording, the teacher +4.00",
        ),
        (
            interval(4.0, 5.0),
            CLEAR,
            "has the same gain here: +4.50 dB over the noisy recording, the teacher +4.00 dB.",
        ),
        (
            interval(-0.2, 1.0),
            CLEAR,
            "does not measurably improve these noisy recordings yet (SI-SDR +0.40 [-0.20, +1",
        ),
        (interval(-2.0, -1.0), CLEAR, "does not measurably improve"),
        (interval(1.0, 2.0), interval(-1.0, 2.0), "the teacher itself does not measurably improve them"),
        (None, CLEAR, "No recording could be scored"),
        (CLEAR, None, "No recording could be scored"),
        (Interval(3.0, math.nan, math.nan, 1), CLEAR, "does not measurably improve"),
    ],
)
def test_the_headline(student, teacher, text) -> None:
    sentence = verdict.headline(4.0, gains(student, teacher))
    assert sentence.startswith("The student is 4.0 times smaller than its teacher")
    assert text in sentence


def test_a_student_that_is_no_smaller_is_not_called_smaller() -> None:
    assert verdict.headline(1.0, gains(CLEAR, CLEAR)).startswith("The student is as large as its teacher")
    assert verdict.headline(0.5, gains(CLEAR, CLEAR)).startswith("The student is larger than its teacher")
    assert verdict.headline(41.8, gains(CLEAR, CLEAR)).startswith("The student is 42 times smaller")


def test_the_share_of_the_gain_in_a_metric_that_is_better_when_lower() -> None:
    fewer, fewest = interval(-0.06, -0.02), interval(-0.1, -0.06)
    found = {"distilled": {"wer": fewer}, "teacher": {"wer": fewest}}
    assert verdict.kept(found, "wer") == pytest.approx(0.5)
    assert verdict.kept({"distilled": {}, "teacher": {}}, "wer") is None


@pytest.mark.parametrize(
    ("paired", "text"),
    [
        ({"si_sdr": interval(0.1, 0.5)}, "The teacher helped: SI-SDR dB +0.30 [+0.10, +0.50]."),
        ({"si_sdr": interval(-0.5, -0.1)}, "The teacher did not help here; worse: SI-SDR"),
        ({"si_sdr": interval(-0.1, 0.5)}, "No significant difference between the distilled student"),
        (
            {"si_sdr": interval(0.1, 0.5), "stoi": interval(-0.02, -0.01)},
            "The teacher helped for some metrics: SI-SDR",
        ),
        ({"si_sdr": interval(0.1, 0.5), "stoi": interval(-0.02, 0.01)}, "The teacher helped: SI-SDR"),
        ({"si_sdr": None}, "No mixture could be scored"),
        ({"si_sdr": Interval(0.4, math.nan, math.nan, 1)}, "No significant difference"),
        ({"wer": interval(-0.15, -0.05)}, "The teacher helped: WER"),
        ({"wer": interval(0.05, 0.15)}, "The teacher did not help here; worse: WER"),
    ],
)
def test_against_the_student_alone(paired: dict, text: str) -> None:
    assert verdict.against_alone(paired).startswith(text)


def test_a_student_below_the_noisy_input_is_a_warning() -> None:
    better, worse = interval(1, 3), interval(-3, -1)
    assert verdict.below_noisy({"distilled": {"si_sdr": worse, "stoi": better}}).startswith(
        "In SI-SDR the distilled student is below"
    )
    assert verdict.below_noisy({"distilled": {"si_sdr": worse, "stoi": worse}}).startswith(
        "In SI-SDR and STOI the"
    )
    assert verdict.below_noisy({"distilled": {"si_sdr": better, "wer": worse}}) == ""
    assert verdict.below_noisy({"distilled": {"wer": better}}) != "", "more word errors"
