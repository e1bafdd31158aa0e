"""Figures of a comparison: forest plots of the differences, and the differences by SNR."""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from stillwave.compare.results import MethodRow, Results
from stillwave.compare.text_report import star
from stillwave.evaluation import METRICS
from stillwave.reports import figures
from stillwave.reports.figures import BLUE, GREEN, GREY, INK, ORANGE, PURPLE, RED
from stillwave.reports.formatting import heading

_LINES = (BLUE, ORANGE, GREEN, PURPLE, RED)
"""The colours of the named methods in the figure by SNR; the others are grey."""
_COLUMNS = 3


def forest(results: Results, stem: Path) -> list[Path]:
    """Draw each method's difference from the student alone, the best on top, one panel for each metric.

    Returns the files, none if there are no methods.
    """
    panels = {metric: effects(results, metric) for metric in results.grid.metrics}
    panels = {metric: found for metric, found in panels.items() if found}
    if not panels:
        return []
    rows = math.ceil(len(panels) / _COLUMNS)
    height = 0.9 + 0.27 * max(map(len, panels.values()))
    figure, axes = _panels(len(panels), math.ceil(len(panels) / rows), (5.2, height))
    for axis, (metric, found) in zip(axes, panels.items(), strict=False):
        _forest_panel(axis, metric, found)
    return figures.save_figure(figure, [stem.with_suffix(suffix) for suffix in figures.SUFFIXES])


def _panels(count: int, columns: int, size: tuple[float, float]) -> tuple[Any, Any]:
    """Return a figure of `count` panels, width and height each in inches, and their axes."""
    rows = math.ceil(count / columns)
    figure = figures.new_figure(size[0] * columns, size[1] * rows)
    axes = figure.subplots(rows, columns, squeeze=False).ravel()
    for axis in axes[count:]:
        axis.set_visible(False)
    return figure, axes[:count]


def effects(results: Results, metric: str) -> list[tuple[str, MethodRow]]:
    """Return label and row of every method that has a difference, the smallest gain first."""
    several = len(results.sections) > 1
    found = [
        (f"{row.display}, {student}" if several else row.display, row)
        for student, rows in results.sections.items()
        for row in rows
        if row.is_method and row.differences[metric] is not None
    ]
    return sorted(found, key=lambda entry: _effect(entry[1], metric))


def _effect(row: MethodRow, metric: str) -> float:
    found = row.differences[metric]
    return METRICS[metric].gain(found.mean) if found else -math.inf


def _forest_panel(axis: Any, metric: str, found: Sequence[tuple[str, MethodRow]]) -> None:
    factor = METRICS[metric].factor
    axis.axvline(0, color=INK, linewidth=1)
    for place, (_, row) in enumerate(found):
        estimate = row.differences[metric]
        assert estimate is not None
        colour = (BLUE if _effect(row, metric) > 0 else RED) if star(row, metric) else GREY
        if not math.isnan(estimate.low):
            axis.plot(
                [factor * estimate.low, factor * estimate.high], [place, place], color=colour, linewidth=1.8
            )
        axis.plot([factor * estimate.mean], [place], "o", color=colour, markersize=5)
    axis.set_yticks(range(len(found)), [label for label, _ in found])
    axis.set(title=f"{heading(metric)}: difference from the student alone", ylim=(-0.6, len(found) - 0.4))
    figures.style_axes(axis)


def by_snr(results: Results, student: str, stem: Path) -> list[Path]:
    """Draw the differences from the student alone over SNR, one panel for each metric; the best five are named."""
    rows = [row for row in results.sections[student] if row.is_method and row.by_snr]
    metrics = [m for m in results.grid.metrics if any(row.differences[m] for row in rows)]
    if not rows or not metrics:
        return []
    figure, axes = _panels(len(metrics), min(_COLUMNS, len(metrics)), (4.6, 3.4))
    for axis, metric in zip(axes, metrics, strict=False):
        _snr_panel(axis, metric, sorted(rows, key=lambda row: -_effect(row, metric)))
    return figures.save_figure(figure, [stem.with_suffix(suffix) for suffix in figures.SUFFIXES])


def _snr_panel(axis: Any, metric: str, rows: Sequence[MethodRow]) -> None:
    axis.axhline(0, color=INK, linewidth=1)
    for place, row in reversed(list(enumerate(rows))):
        points = [(label, change.mean) for label, found in row.by_snr.items() if (change := found[metric][1])]
        named = place < len(_LINES)
        axis.plot(
            [list(row.by_snr).index(label) for label, _ in points],
            [METRICS[metric].factor * value for _, value in points],
            color=_LINES[place] if named else INK,
            linewidth=1.6 if named else 0.7,
            alpha=1 if named else 0.5,
            marker="o" if named else None,
            markersize=3.5,
            label=row.display if named else None,
        )
    axis.set_xticks(range(len(rows[0].by_snr)), list(rows[0].by_snr))
    axis.set(title=f"{heading(metric)}: difference from the student alone", xlabel="SNR of the input")
    handles, labels = axis.get_legend_handles_labels()
    axis.legend(handles[::-1], labels[::-1], fontsize=7, frameon=False, labelcolor=INK)
    figures.style_axes(axis)
