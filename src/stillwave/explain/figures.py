"""Figures of the report: calibration weights, similarities and their course, with the spectrogram."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from stillwave.reports.figures import (
    COLOUR_MAP,
    INK,
    RANGE_DB,
    ink_axes,
    new_figure,
    save_figure,
    spectrogram,
)

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

Values = npt.NDArray[np.float32]
DPI = 120
MIN_SPREAD = 0.01
"""Differences from equal weights below this value are not visible in the colour scale."""


@dataclass(frozen=True)
class AudioClip:
    """The example: mono samples, and their sampling rate in Hz."""

    samples: npt.NDArray[np.float32]
    rate: int

    @property
    def seconds(self) -> float:
        """Duration in s."""
        return len(self.samples) / self.rate


@dataclass(frozen=True)
class FigureRow:
    """A layer pair and the similarities of both layers, [y, x]."""

    label: str
    teacher: Values
    student: Values


@dataclass(frozen=True)
class FigureKind:
    """Labels of the axes of similarities; `None`: time in s."""

    x: str | None
    y: str | None

    @property
    def square(self) -> bool:
        """Whether both axes are equal."""
        return self.x == self.y


def draw_weights(
    file: Path, clip: AudioClip, streams: Mapping[str, Values], students: int, teachers: int
) -> None:
    """Draw α of one term, [T, n, m] for each stream: a strip for each layer pair, along the frames."""
    pairs = students * teachers
    heights = [2.2, *(0.28 * pairs + 0.25 for _ in streams)]
    figure = new_figure(9, sum(heights) + 0.6)
    panels = figure.subplots(len(heights), 1, sharex=True, height_ratios=heights, squeeze=False)[:, 0]
    _spectrogram(panels[0], clip)
    colours = weight_colours(1 / teachers, list(streams.values()))
    for axes, (stream, alpha) in zip(panels[1:], streams.items(), strict=True):
        strips = alpha.reshape(len(alpha), pairs).T
        extent = (0, clip.seconds, pairs, 0)
        image = axes.imshow(strips, aspect="auto", extent=extent, interpolation="nearest", **colours)
        names = [f"student {i + 1} ← teacher {j + 1}" for i in range(students) for j in range(teachers)]
        axes.set_yticks(np.arange(pairs) + 0.5, names)
        axes.set_title(f"α, {stream} stream", fontsize=8, color=INK, loc="left")
        for edge in range(teachers, pairs, teachers):
            axes.axhline(edge, color=INK, linewidth=1)
        _bar(figure, image, axes)
    panels[-1].set_xlabel("seconds")
    _save(figure, file, colours=None)


def draw_similarities(file: Path, clip: AudioClip, rows: Sequence[FigureRow], kind: FigureKind) -> None:
    """Draw teacher, student and their difference, a row for each layer pair, below the spectrogram."""
    figure = new_figure(9.6, 1.6 + (2.7 if kind.square else 1.5) * len(rows) + 0.4)
    heights = [1.3, *(2.4 if kind.square else 1.0 for _ in rows)]
    panels = figure.subplots(len(rows) + 1, 3, height_ratios=heights, squeeze=False)
    for axes, title in zip(panels[0], ("teacher", "student", "student − teacher"), strict=True):
        _spectrogram(axes, clip)
        axes.set_title(title, fontsize=9, color=INK)
    for line, row in zip(panels[1:], rows, strict=True):
        _compared(figure, line, row, kind, clip.seconds)
    for axes in panels[-1]:
        axes.set_xlabel(kind.x or "seconds")
    for axes in panels[:, 1:].flat:
        axes.set_ylabel("")
        axes.tick_params(labelleft=False)
    for axes in panels[0 if kind.x is None else 1 : -1].flat:
        axes.tick_params(labelbottom=False)
    _save(figure, file)


def draw_distances(file: Path, lines: Mapping[str, Sequence[float]], steps: Sequence[int]) -> None:
    """Draw the distance of each term against the training step."""
    figure = new_figure(5.6, 2.8)
    _lines(figure.subplots(), lines, steps)
    _save(figure, file)


def draw_course(
    file: Path, terms: Mapping[str, Mapping[str, Mapping[str, Sequence[float]]]], steps: Sequence[int]
) -> None:
    """Draw mean α against the training step, {term: {stream: {teacher layer: values}}}: a row for each term."""
    wide = max(len(streams) for streams in terms.values())
    figure = new_figure(3.4 * wide + 0.6, 2.1 * len(terms) + 0.3)
    panels = figure.subplots(len(terms), wide, sharex=True, sharey=True, squeeze=False)
    for row, (term, streams) in zip(panels, terms.items(), strict=True):
        for axes, (stream, lines) in zip(row, streams.items(), strict=True):
            axes.axhline(1 / len(lines), color=INK, linewidth=0.8, linestyle=":")
            _lines(axes, lines, steps)
            axes.set_title(f"{term}, {stream} stream", fontsize=8, color=INK)
            axes.label_outer()
    panels[0, 0].set_ylim(0, 1)
    _save(figure, file)


def _lines(axes: Axes, lines: Mapping[str, Sequence[float]], steps: Sequence[int]) -> None:
    for name, values in lines.items():
        axes.plot(steps, values, marker="o", markersize=3, linewidth=1.4, label=name)
    axes.set_xlabel("training step")
    axes.legend(fontsize=7, frameon=False, labelcolor=INK)
    axes.grid(color=INK, alpha=0.2, linewidth=0.6)


def draw_change(
    file: Path, clip: AudioClip, columns: Sequence[str], rows: Mapping[str, Sequence[Values]]
) -> None:
    """Draw similarities of frames at some steps and of the teacher: a row and a colour scale for each set."""
    figure = new_figure(2.3 * len(columns) + 0.6, 2.2 * len(rows) + 0.4)
    panels = figure.subplots(len(rows), len(columns), sharex=True, sharey=True, squeeze=False)
    extent = (0.0, clip.seconds, 0.0, clip.seconds)
    for line, (name, matrices) in zip(panels, rows.items(), strict=True):
        limits = _limits(matrices)
        for axes, matrix in zip(line, matrices, strict=True):
            image = axes.imshow(matrix, origin="lower", extent=extent, interpolation="nearest", **limits)
        line[0].set_ylabel(name)
        _bar(figure, image, line)
    for axes, title in zip(panels[0], columns, strict=True):
        axes.set_title(title, fontsize=8, color=INK)
    for axes in panels[-1]:
        axes.set_xlabel("seconds")
    _save(figure, file)


def _compared(figure: Any, line: Sequence[Any], row: FigureRow, kind: FigureKind, seconds: float) -> None:
    height, width = row.teacher.shape
    extent = (0, seconds if kind.x is None else width, 0, seconds if kind.y is None else height)
    options = {"origin": "lower", "aspect": "auto", "extent": extent, "interpolation": "nearest"}
    limits = _limits([row.teacher, row.student])
    for axes, values in zip(line, (row.teacher, row.student), strict=False):
        image = axes.imshow(values, **options, **limits)
    _bar(figure, image, line[1])
    difference = row.student - row.teacher
    most = max(float(np.abs(difference).max()), 1e-3)
    _bar(figure, line[2].imshow(difference, cmap="RdBu_r", vmin=-most, vmax=most, **options), line[2])
    if not kind.square:
        for axes in line:
            axes.set_yticks(np.arange(height) + 0.5, [str(k + 1) for k in range(height)])
    line[0].set_ylabel(f"{row.label}\n{kind.y or 'seconds'}")


def _limits(matrices: Sequence[Values]) -> dict[str, Any]:
    """Return a common colour scale: the range of 98 % of the values."""
    low, high = np.percentile(np.concatenate([np.ravel(m) for m in matrices]), (1, 99))
    return {"cmap": "viridis", "vmin": float(low), "vmax": float(max(high, low + 1e-3))}


def weight_colours(equal: float, streams: Sequence[Values]) -> dict[str, Any]:
    """Return the colour scale of weights: white at equal weights, symmetric as far as the weights range."""
    from matplotlib.colors import TwoSlopeNorm

    spread = max(MIN_SPREAD, *(float(np.abs(alpha - equal).max()) for alpha in streams))
    low, high = max(0.0, equal - spread), min(1.0, equal + spread + 1e-6)
    if not low < equal < high:  # one teacher layer
        low, high = equal - MIN_SPREAD, equal + MIN_SPREAD
    return {"cmap": "RdBu_r", "norm": TwoSlopeNorm(equal, low, high)}


def _spectrogram(axes: Axes, clip: AudioClip) -> None:
    values = spectrogram(clip.samples)
    top = float(values.max())
    extent = (0.0, clip.seconds, 0.0, clip.rate / 2000)
    axes.imshow(
        values, origin="lower", aspect="auto", extent=extent, cmap=COLOUR_MAP, vmin=top - RANGE_DB, vmax=top
    )
    axes.set_ylabel("kHz")


def _bar(figure: Any, image: Any, axes: Any) -> None:
    bar = figure.colorbar(image, ax=axes, pad=0.01, fraction=0.05)
    bar.ax.tick_params(colors=INK, labelsize=7)
    bar.outline.set_visible(False)


def _save(figure: Figure, file: Path, colours: int | None = 256) -> None:
    """Write a PNG; the fine gradients of weights need more than 256 colours."""
    for axes in figure.axes:
        ink_axes(axes)
    save_figure(figure, [file], dpi=DPI, colours=colours)
