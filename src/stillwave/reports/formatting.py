"""Numbers, intervals and metric names as text. Values are scaled and rounded as `METRICS` defines."""

from __future__ import annotations

import math
from typing import Protocol

from stillwave.evaluation.metrics import METRICS

NO_VALUE = "–"


class HasInterval(Protocol):
    """A mean with the bounds of its 95 % interval; the bounds are NaN or None if there are none."""

    @property
    def mean(self) -> float: ...  # noqa: D102
    @property
    def low(self) -> float | None: ...  # noqa: D102
    @property
    def high(self) -> float | None: ...  # noqa: D102


def heading(metric: str) -> str:
    """Return the name of a metric with its unit, and an arrow if lower is better."""
    entry = METRICS[metric]
    return " ".join(part for part in (entry.name, entry.unit, "↓" * entry.lower_is_better) if part)


def number(value: float, metric: str, *, signed: bool = False) -> str:
    """Return a value of a metric as tables show it.

    Examples:
        >>> number(0.7587, "stoi"), number(0.0312, "pesq_wb", signed=True)
        ('75.87', '+0.031')

    """
    entry = METRICS[metric]
    return f"{value * entry.factor:{'+' if signed else ''}.{entry.decimals}f}"


def mean(found: HasInterval | None, metric: str) -> str:
    """Return the mean alone, or a dash."""
    return NO_VALUE if found is None else number(found.mean, metric)


def bounds(found: HasInterval | None, metric: str, *, signed: bool = False) -> str:
    """Return `[low, high]`, or nothing if there is no interval.

    Examples:
        >>> from stillwave.stats.bootstrap import Interval
        >>> bounds(Interval(0.4, 0.1, 0.75, 36), "si_sdr")
        '[0.10, 0.75]'

    """
    if found is None or found.low is None or found.high is None or math.isnan(found.low):
        return ""
    low, high = (number(end, metric, signed=signed) for end in (found.low, found.high))
    return f"[{low}, {high}]"


def with_interval(found: HasInterval | None, metric: str, *, signed: bool = False) -> str:
    """Return `mean [low, high]`, the mean alone if there is no interval, or a dash if there is no value."""
    if found is None:
        return NO_VALUE
    parts = (number(found.mean, metric, signed=signed), bounds(found, metric, signed=signed))
    return " ".join(part for part in parts if part)


def p_value(p: float | None) -> str:
    """Return a p value with three decimals.

    Examples:
        >>> p_value(0.0321), p_value(1e-6), p_value(None)
        ('0.032', '< 0.001', '–')

    """
    if p is None or math.isnan(p):
        return NO_VALUE
    return "< 0.001" if p < 0.001 else f"{p:.3f}"


def percent(share: float | None) -> str:
    """Return a share as a whole percentage, or a dash."""
    return NO_VALUE if share is None else f"{100 * share:.0f} %"


def count(value: float | None) -> str:
    """Return a large number with about three digits and a prefix.

    Examples:
        >>> count(595494), count(13.26e9), count(12), count(None)
        ('595 k', '13.3 G', '12', '–')

    """
    if value is None:
        return NO_VALUE
    for prefix, scale in (("G", 1e9), ("M", 1e6), ("k", 1e3)):
        if value >= scale:
            scaled = value / scale
            return f"{scaled:.{0 if scaled >= 100 else 1 if scaled >= 10 else 2}f} {prefix}"
    return f"{value:.0f}"
