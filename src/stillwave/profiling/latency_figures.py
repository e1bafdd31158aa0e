"""The figure of a latency report: time per frame by backend, and real-time factor of several streams."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from stillwave.profiling.latency import Latency, LatencyRow
from stillwave.profiling.latency_backends import TITLES
from stillwave.reports.figures import (
    BLUE,
    GREEN,
    INK,
    ORANGE,
    PURPLE,
    SUFFIXES,
    new_figure,
    save_figure,
    style_axes,
)

COLOURS = {"torch": ORANGE, "onnx": BLUE, "int8": GREEN, "fp16": PURPLE}
MARKS = "osD^vPX*"
"""Markers of the models."""


def draw(found: Latency, stem: Path) -> list[Path]:
    """Write `stem`.png and `stem`.svg. Raises MissingExtraError without matplotlib."""
    several = any(row.streams for row in found.rows)
    figure = new_figure(11.5 if several else 6, 1.5 + 0.32 * max(6, len(found.rows)))
    panels = figure.subplots(1, 2 if several else 1, squeeze=False)[0]
    _frames(panels[0], found.rows)
    if several:
        _streams(panels[1], found.rows)
        figure.legend(loc="outside right center", fontsize=7, frameon=False, labelcolor=INK)
    return save_figure(figure, [stem.with_suffix(suffix) for suffix in SUFFIXES])


def _frames(axis: Any, rows: list[LatencyRow]) -> None:
    for place, row in enumerate(reversed(rows)):
        colour, time = COLOURS[row.backend], row.frame
        axis.plot([1e3 * time.median, 1e3 * time.max], [place, place], color=colour, linewidth=0.8)
        axis.plot([1e3 * time.median, 1e3 * time.p99], [place, place], color=colour, linewidth=3)
        axis.plot([1e3 * time.median], [place], "o", color=colour, markersize=7)
        axis.plot([1e3 * time.max], [place], "|", color=colour, markersize=7)
    for hop in sorted({row.hop_seconds for row in rows}):
        axis.axvline(1e3 * hop, color=INK, linewidth=1, linestyle="--")
        axis.annotate(
            "hop", (1e3 * hop, 1), xycoords=("data", "axes fraction"), xytext=(3, -9), color=INK, fontsize=8,
            textcoords="offset points",
        )  # fmt: skip
    axis.set_yticks(range(len(rows)), [f"{row.model}  {TITLES[row.backend]}" for row in reversed(rows)])
    axis.set(
        xscale="log", xlabel="ms per frame", ylim=(-0.6, len(rows) - 0.4),
        title="Time per frame: median, p99 (thick), maximum",
    )  # fmt: skip
    _style(axis)


def _streams(axis: Any, rows: list[LatencyRow]) -> None:
    models = list(dict.fromkeys(row.model for row in rows))
    for row in rows:
        if row.streams:
            axis.plot(
                list(row.streams), list(row.streams.values()), color=COLOURS[row.backend], linewidth=1.4, markersize=5,
                marker=MARKS[models.index(row.model) % len(MARKS)], label=f"{row.model}  {TITLES[row.backend]}",
            )  # fmt: skip
    axis.axhline(1, color=INK, linewidth=1, linestyle="--")
    counts = sorted({count for row in rows for count in row.streams})
    axis.set(xscale="log", yscale="log", xlabel="streams in one batch", title="Real-time factor of one core")
    axis.set_xticks(counts, [str(count) for count in counts])
    axis.minorticks_off()
    _style(axis)


def _style(axis: Any) -> None:
    from matplotlib.ticker import FuncFormatter

    style_axes(axis)
    axis.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
    if axis.get_yscale() == "log":
        axis.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
