"""Figures of the quick start: spectrograms, their difference, levels and learning curves."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from stillwave.audio import Samples
from stillwave.reports.figures import (
    COLOUR_MAP,
    INK,
    RANGE_DB,
    SYSTEM_COLOURS,
    Decibels,
    new_figure,
    save_figure,
    save_image,
    spectrogram,
    style_axes,
)

Curve = Sequence[tuple[int, float]]

DIFFERENCE_DB = 12.0
"""The range of the colours of a difference, to both sides."""

_LEVEL_SECONDS = 0.02
_LEVEL_FLOOR_DB = -90.0
_LEVEL_RANGE_DB = 60.0
_FONT_SIZE = 10


def draw_spectrogram(file: Path, samples: Samples, top_db: float) -> None:
    """Write the spectrogram of mono samples without axes; `top_db` is the level of the brightest colour."""
    save_image(file, spectrogram(samples), cmap=COLOUR_MAP, vmin=top_db - RANGE_DB, vmax=top_db)


def draw_difference(file: Path, first: Samples, second: Samples, top_db: float) -> None:
    """Write where `second` is louder (red) or softer (blue) than `first`, averaged over 3 bins × 5 frames.

    Both are raised to the lower end of the range of the spectrograms first.
    """
    floor = top_db - RANGE_DB
    before, after = (np.maximum(_smoothed(spectrogram(samples)), floor) for samples in (first, second))
    save_image(file, after - before, cmap=_diverging(), vmin=-DIFFERENCE_DB, vmax=DIFFERENCE_DB)


def gradient(*, difference: bool = False, stops: int = 9) -> str:
    """Return the colours of the spectrograms, or of the difference, as the stops of a CSS gradient."""
    from matplotlib import colormaps

    colours = _diverging() if difference else colormaps[COLOUR_MAP]
    values = [colours(i / (stops - 1)) for i in range(stops)]
    return ", ".join(
        f"rgba({round(255 * r)}, {round(255 * g)}, {round(255 * b)}, {a:.2f})" for r, g, b, a in values
    )


def _smoothed(values: Decibels) -> Decibels:
    """Return the mean power around each point: differences of single points are mostly random."""
    power = np.pad(10 ** (values / 10), ((1, 1), (2, 2)), mode="edge")
    windows = np.lib.stride_tricks.sliding_window_view(power, (3, 5))
    return np.asarray(10 * np.log10(windows.mean((-1, -2))))


def _diverging() -> Any:
    """Blue to red through transparent, so that no difference has the colour of the page, light or dark."""
    from matplotlib.colors import LinearSegmentedColormap

    blue, red = (0.16, 0.45, 0.86), (0.86, 0.22, 0.16)
    return LinearSegmentedColormap.from_list(
        "difference", [(*blue, 1.0), (*blue, 0.0), (*red, 0.0), (*red, 1.0)]
    )


def ticks(seconds: float) -> list[float]:
    """Return round times for the labels of a time axis, at most seven.

    Examples:
        >>> ticks(5.2), ticks(30.0)
        ([0.0, 1.0, 2.0, 3.0, 4.0, 5.0], [0.0, 5.0, 10.0, 15.0, 20.0, 25.0, 30.0])

    """
    step = next((step for step in (0.5, 1.0, 2.0, 5.0, 10.0, 30.0, 60.0) if seconds / step < 7), 300.0)
    return [step * i for i in range(int(seconds / step) + 1)]


def draw_levels(file: Path, signals: Mapping[str, Samples], rate: int) -> None:
    """Draw the level over time (20 ms RMS) of mono signals, by system."""
    figure = new_figure(8, 2.6)
    axes = figure.add_subplot()
    for name, samples in signals.items():
        level = levels(samples, rate)
        time = (np.arange(len(level)) + 0.5) * _LEVEL_SECONDS
        axes.plot(time, level, color=SYSTEM_COLOURS.get(name, INK), linewidth=1.3)
    top = max(float(levels(samples, rate).max(initial=_LEVEL_FLOOR_DB)) for samples in signals.values())
    axes.set(xlabel="time (s)", ylabel="level (dBFS)", xmargin=0, ylim=(top - _LEVEL_RANGE_DB, top + 3))
    style_axes(axes, _FONT_SIZE)
    save_figure(figure, [file])


def levels(samples: Samples, rate: int) -> Decibels:
    """Return the RMS of each 20 ms in dBFS, at least −90."""
    size = max(1, round(_LEVEL_SECONDS * rate))
    blocks = samples[: len(samples) // size * size].reshape(-1, size).astype(np.float64)
    power = np.mean(blocks**2, axis=1)
    return np.asarray(np.maximum(10 * np.log10(np.maximum(power, 1e-30)), _LEVEL_FLOOR_DB))


def draw_curves(file: Path, curves: Mapping[str, Curve], ylabel: str, *, smooth: bool = False) -> None:
    """Draw values over training steps, by system; `smooth` adds a running mean to faint values."""
    figure = new_figure(4.6, 2.9)
    axes = figure.add_subplot()
    for name, curve in curves.items():
        steps, values = (np.asarray(column, dtype=float) for column in zip(*curve, strict=True))
        colour = SYSTEM_COLOURS.get(name, INK)
        if smooth:
            axes.plot(steps, values, color=colour, linewidth=0.6, alpha=0.2)
            values = running_mean(values, max(1, len(values) // 20))
        axes.plot(steps, values, color=colour, linewidth=1.8, marker=None if smooth else "o", markersize=3.5)
    axes.set(xlabel="training step", ylabel=ylabel)
    if smooth:
        axes.set_ylim(*_limits([value for curve in curves.values() for _, value in curve]))
    style_axes(axes, _FONT_SIZE)
    save_figure(figure, [file])


def _limits(values: Sequence[float]) -> tuple[float, float]:
    """Return limits without outliers: the middle 96 %, and a margin of 10 % on both sides."""
    low, high = np.percentile(values, (2, 98))
    margin = max(0.1 * (high - low), 1e-6)
    return float(low - margin), float(high + margin)


def running_mean(values: npt.NDArray[np.float64], width: int) -> npt.NDArray[np.float64]:
    """Return the mean of each value and the `width - 1` values before it (fewer at the start)."""
    total = np.cumsum(np.concatenate([[0.0], values]))
    end = np.arange(1, len(values) + 1)
    start = np.maximum(0, end - width)
    return np.asarray((total[end] - total[start]) / (end - start))
