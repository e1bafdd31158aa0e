"""A row's figures as text, as tables in every form show them. Values are scaled and rounded as METRICS says."""

from __future__ import annotations

import math

from stillwave.compare.results import MethodRow
from stillwave.evaluation.tables import number
from stillwave.stats.crossed import Estimate

ALPHA = 0.05
COSTS = ("λ", "step", "memory", "connectors")


def mean(found: Estimate | None, metric: str) -> str:
    """`1.234`, or a dash."""
    return "–" if found is None else number(found.mean, metric)


def difference(row: MethodRow, metric: str) -> str:
    """`+0.031 [+0.010, +0.052]*`: the star is for p < 0.05 after correction."""
    found = row.differences.get(metric)
    if found is None:
        return "–"
    return f"{number(found.mean, metric, signed=True)}{_spaced(ends(found, metric))}{star(row, metric)}"


def ends(found: Estimate, metric: str, *, signed: bool = True) -> str:
    """`[+0.010, +0.052]`; nothing where one value is all there is."""
    if math.isnan(found.low):
        return ""
    low, high = (number(end, metric, signed=signed) for end in (found.low, found.high))
    return f"[{low}, {high}]"


def star(row: MethodRow, metric: str) -> str:
    """A mark for a difference that is unlikely to be chance, all comparisons counted."""
    return "*" if row.corrected.get(metric, math.nan) < ALPHA else ""


def p_value(p: float | None) -> str:
    """As people write it.

    Examples:
        >>> p_value(0.0321), p_value(1e-6), p_value(None)
        ('0.032', '< 0.001', '–')

    """
    if p is None or math.isnan(p):
        return "–"
    return "< 0.001" if p < 0.001 else f"{p:.3f}"


def share(value: float | None) -> str:
    """A share as a percentage, or a dash."""
    return "–" if value is None else f"{100 * value:.0f} %"


def costs(row: MethodRow) -> tuple[str, ...]:
    """As `COSTS` has it: λ, time of a step against the student alone's, memory beyond its, connectors."""
    c = row.costs
    return (
        "–" if c.weight is None else f"{c.weight:.3g}",
        "–" if c.time_ratio is None else f"×{c.time_ratio:.2f}",
        "–" if c.extra_memory_bytes is None else f"{c.extra_memory_bytes / 2**20:+.0f} MiB",
        "–" if c.connectors is None else f"{c.connectors:,}",
    )


def _spaced(text: str) -> str:
    return f" {text}" if text else ""


def at_snr(row: MethodRow, label: str, metric: str) -> str:
    """The mean for references, the difference for methods."""
    value, change = row.by_snr[label][metric]
    if not row.is_method:
        return "–" if value is None else number(value, metric)
    if change is None:
        return "–"
    return f"{number(change.mean, metric, signed=True)}{_spaced(ends(change, metric))}"
