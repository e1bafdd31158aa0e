"""Conclusions from the scores as sentences, within the limits of their confidence intervals."""

from __future__ import annotations

from collections.abc import Mapping

from stillwave.evaluation import METRICS
from stillwave.reports.formatting import heading, number, with_interval
from stillwave.stats.bootstrap import Interval

MEASURE = "si_sdr"
"""The metric of the headline; in dB, so that the ratio of two gains is meaningful."""

Gains = Mapping[str, Mapping[str, Interval | None]]
"""By system and metric: the mean paired difference from the noisy input."""


def kept(gains: Gains, metric: str) -> float | None:
    """Return the gain of the distilled student divided by the teacher's; None if either is not significant.

    Examples:
        >>> gain = lambda low, high: {"si_sdr": Interval((low + high) / 2, low, high, 36)}
        >>> kept({"teacher": gain(2.0, 4.0), "distilled": gain(1.4, 4.0)}, "si_sdr")
        0.9
        >>> kept({"teacher": gain(-2.0, 4.0), "distilled": gain(1.4, 4.0)}, "si_sdr") is None
        True

    """
    teacher, student = (gains.get(system, {}).get(metric) for system in ("teacher", "distilled"))
    if not _improves(metric, teacher) or not _improves(metric, student):
        return None
    assert teacher is not None
    assert student is not None
    return student.mean / teacher.mean


def headline(smaller: float | None, gains: Gains) -> str:
    """Return one sentence without technical terms: the size of the student and the gain that it keeps.

    `smaller` is the ratio of the parameters of teacher and student.
    """
    teacher, student = (gains.get(system, {}).get(MEASURE) for system in ("teacher", "distilled"))
    size = _size(smaller)
    if student is None or teacher is None:
        return f"{size}. No recording could be scored, so its gain is not known."
    if not _improves(MEASURE, student):
        return (
            f"{size}, but it does not measurably improve these noisy recordings yet "
            f"({_with_unit(student)}): it was trained for too short a time, or on a different kind of recordings."
        )
    if not _improves(MEASURE, teacher):
        return (
            f"{size} and improves the noisy recordings by {_mean(student)}; the teacher itself does not "
            f"measurably improve them ({_with_unit(teacher)}), so the share of its gain is not defined."
        )
    share = student.mean / teacher.mean
    what = "has the same gain here" if share >= 0.995 else f"keeps {100 * share:.0f} % of its gain"
    return f"{size} and {what}: {_mean(student)} over the noisy recording, the teacher {_mean(teacher)}."


def against_alone(paired: Mapping[str, Interval | None]) -> str:
    """Return how the distilled student differs from the same student trained alone, for all metrics.

    >>> against_alone({"si_sdr": Interval(0.4, 0.1, 0.7, 36), "stoi": Interval(0.0, -0.01, 0.01, 36)})
    'The teacher helped: SI-SDR dB +0.40 [+0.10, +0.70]. Not statistically significant: STOI ×100 +0.00 [-1.00, +1.00].'
    """
    known = {metric: found for metric, found in paired.items() if found is not None}
    better = {metric: found for metric, found in known.items() if _improves(metric, found)}
    worse = {metric: found for metric, found in known.items() if max(_gains(metric, found)) < 0}
    unclear = {metric: found for metric, found in known.items() if metric not in better | worse}
    if not known:
        return "No mixture could be scored for both students, so the effect of the teacher is not known."
    if not better and not worse:
        return f"No significant difference between the distilled student and the student alone: {_listed(unclear)}."
    parts = {
        "The teacher helped" if not worse else "The teacher helped for some metrics": better,
        "Worse" if better else "The teacher did not help here; worse": worse,
        "Not statistically significant": unclear,
    }
    return " ".join(f"{what}: {_listed(found)}." for what, found in parts.items() if found)


def below_noisy(gains: Gains) -> str:
    """Return for which metrics the mean of the distilled student is below the noisy input; empty if none."""
    below = [
        METRICS[metric].name
        for metric, found in gains.get("distilled", {}).items()
        if found is not None and METRICS[metric].gain(found.mean) < 0
    ]
    if not below:
        return ""
    *some, last = below
    names = f"{', '.join(some)} and {last}" if some else last
    return (
        f"In {names} the distilled student is below the noisy input: it was trained for too few steps, or on "
        "different mixtures."
    )


def _improves(metric: str, found: Interval | None) -> bool:
    """Return whether the interval of a gain is above zero."""
    return found is not None and min(_gains(metric, found)) > 0


def _gains(metric: str, found: Interval) -> tuple[float, float]:
    return METRICS[metric].gain(found.low), METRICS[metric].gain(found.high)


def _size(smaller: float | None) -> str:
    """Return how the size of the student compares with its teacher.

    Examples:
        >>> _size(8.65), _size(3.3)
        ('The student is 9 times smaller than its teacher', 'The student is 3.3 times smaller than its teacher')
        >>> _size(1.0)
        'The student is as large as its teacher'

    """
    if smaller is None or 0.95 < smaller < 1.05:
        return "The student is as large as its teacher"
    if smaller < 1:
        return "The student is larger than its teacher"
    return f"The student is {smaller:.{0 if smaller >= 5 else 1}f} times smaller than its teacher"


def _mean(found: Interval) -> str:
    return f"{number(found.mean, MEASURE, signed=True)} dB"


def _with_unit(found: Interval) -> str:
    return f"{METRICS[MEASURE].name} {with_interval(found, MEASURE, signed=True)} dB"


def _listed(found: Mapping[str, Interval]) -> str:
    return "; ".join(f"{heading(m)} {with_interval(i, m, signed=True)}" for m, i in found.items())
