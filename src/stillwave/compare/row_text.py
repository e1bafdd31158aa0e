"""The values of a row as text, for tables of every format."""

from __future__ import annotations

import math

from stillwave.compare.results import MethodRow
from stillwave.reports.formatting import NO_VALUE, number, with_interval

ALPHA = 0.05
COSTS = ("λ", "step", "memory", "connectors")


def difference(row: MethodRow, metric: str) -> str:
    """Return e.g. `+0.031 [+0.010, +0.052]*`; the star is for p < 0.05 after correction."""
    return with_interval(row.differences.get(metric), metric, signed=True) + star(row, metric)


def star(row: MethodRow, metric: str) -> str:
    """Return a star for a difference that is statistically significant after correction."""
    return "*" if row.corrected.get(metric, math.nan) < ALPHA else ""


def costs(row: MethodRow) -> tuple[str, ...]:
    """Return the values of `COSTS`: λ, step time and memory relative to the student alone, connectors."""
    c = row.costs
    return (
        NO_VALUE if c.weight is None else f"{c.weight:.3g}",
        NO_VALUE if c.time_ratio is None else f"×{c.time_ratio:.2f}",
        NO_VALUE if c.extra_memory_bytes is None else f"{c.extra_memory_bytes / 2**20:+.0f} MiB",
        NO_VALUE if c.connectors is None else f"{c.connectors:,}",
    )


def at_snr(row: MethodRow, label: str, metric: str) -> str:
    """Return the mean of a reference, and the difference of a method."""
    value, change = row.by_snr[label][metric]
    if row.is_method:
        return with_interval(change, metric, signed=True)
    return NO_VALUE if value is None else number(value, metric)
