"""The pictures of the page: spectrograms, levels and learning curves.

They have no background and a grey ink that can be read on white as on black, so that one file serves both of
the page's colour schemes.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
import numpy.typing as npt

from stillwave.errors import MissingExtraError
from stillwave.files import atomic_file

if TYPE_CHECKING:
    from matplotlib.axes import Axes

Samples = npt.NDArray[np.float32]
Decibels = npt.NDArray[np.float64]
Curve = Sequence[tuple[int, float]]

INK = "#777e88"
"""As far from white as from the page's dark ground."""
COLOURS = {
    "noisy": "#8b929c",
    "clean": "#2f9e68",
    "teacher": "#8f6bd9",
    "alone": "#dd7f1f",
    "distilled": "#2f7fe0",
    "shipped": "#c2498f",
}

RANGE_DB = 75.0
"""What a spectrogram shows below its loudest point."""
DIFFERENCE_DB = 12.0
"""Where the colours of a difference end."""

COLOUR_MAP = "magma"
COLUMNS = 900
"""A spectrogram's picture is at most so wide; longer recordings have their windows further apart."""

_POINTS, _HOP = 512, 128
_FLOOR = 1e-10
_LEVEL_SECONDS = 0.02
_LEVEL_FLOOR_DB = -90.0
_LEVEL_RANGE_DB = 60.0


def spectrogram(samples: Samples) -> Decibels:
    """Power of mono samples `[n]` in dB, `[257, frames]`: Hann windows of 512 points, 128 apart or more."""
    hop = max(_HOP, -(-len(samples) // COLUMNS))
    padded = np.pad(samples.astype(np.float64), _POINTS // 2)
    windows = np.lib.stride_tricks.sliding_window_view(padded, _POINTS)[::hop]
    power = np.abs(np.fft.rfft(windows * np.hanning(_POINTS))) ** 2
    return np.asarray(10 * np.log10(np.maximum(power.T, _FLOOR)))


def draw_spectrogram(file: Path, samples: Samples, top_db: float) -> None:
    """The spectrogram of mono samples, without axes; `top_db` is the brightest colour, the same for all versions."""
    _image(file, spectrogram(samples), cmap=COLOUR_MAP, vmin=top_db - RANGE_DB, vmax=top_db)


def draw_difference(file: Path, first: Samples, second: Samples, top_db: float) -> None:
    """Where `second` is louder (red) or softer (blue) than `first`, in dB, in patches of 3 bins by 5 frames.

    Both are raised to the floor of the other pictures first: what no picture shows is no difference here.
    """
    floor = top_db - RANGE_DB
    before, after = (np.maximum(_patches(spectrogram(samples)), floor) for samples in (first, second))
    _image(file, after - before, cmap=_diverging(), vmin=-DIFFERENCE_DB, vmax=DIFFERENCE_DB)


def gradient(*, difference: bool = False, stops: int = 9) -> str:
    """The colours of the spectrograms, or of the difference, from low to high as stops of a CSS gradient."""
    from matplotlib import colormaps

    colours = _diverging() if difference else colormaps[COLOUR_MAP]
    values = [colours(i / (stops - 1)) for i in range(stops)]
    return ", ".join(
        f"rgba({round(255 * r)}, {round(255 * g)}, {round(255 * b)}, {a:.2f})" for r, g, b, a in values
    )


def _patches(values: Decibels) -> Decibels:
    """Mean power around each point: the differences of single points are mostly chance."""
    power = np.pad(10 ** (values / 10), ((1, 1), (2, 2)), mode="edge")
    windows = np.lib.stride_tricks.sliding_window_view(power, (3, 5))
    return np.asarray(10 * np.log10(windows.mean((-1, -2))))


def _diverging() -> Any:
    """Blue to red through nothing at all, so that no difference is the page itself, light or dark."""
    from matplotlib.colors import LinearSegmentedColormap

    blue, red = (0.16, 0.45, 0.86), (0.86, 0.22, 0.16)
    return LinearSegmentedColormap.from_list(
        "difference", [(*blue, 1.0), (*blue, 0.0), (*red, 0.0), (*red, 1.0)]
    )


def ticks(seconds: float) -> list[float]:
    """Round moments to label a time axis with: seven or fewer.

    Examples:
        >>> ticks(5.2), ticks(30.0)
        ([0.0, 1.0, 2.0, 3.0, 4.0, 5.0], [0.0, 5.0, 10.0, 15.0, 20.0, 25.0, 30.0])

    """
    step = next((step for step in (0.5, 1.0, 2.0, 5.0, 10.0, 30.0, 60.0) if seconds / step < 7), 300.0)
    return [step * i for i in range(int(seconds / step) + 1)]


def draw_levels(file: Path, signals: Mapping[str, Samples], rate: int) -> None:
    """Level over time (20 ms RMS) of mono signals, by system: it shows best what is left in pauses."""
    figure = _figure(8, 2.6)
    axes = figure.add_subplot()
    for name, samples in signals.items():
        level = levels(samples, rate)
        time = (np.arange(len(level)) + 0.5) * _LEVEL_SECONDS
        axes.plot(time, level, color=COLOURS.get(name, INK), linewidth=1.3)
    top = max(float(levels(samples, rate).max(initial=_LEVEL_FLOOR_DB)) for samples in signals.values())
    axes.set(xlabel="time (s)", ylabel="level (dBFS)", xmargin=0, ylim=(top - _LEVEL_RANGE_DB, top + 3))
    _save(figure, axes, file)


def levels(samples: Samples, rate: int) -> Decibels:
    """RMS of each 20 ms in dBFS, not below -90."""
    size = max(1, round(_LEVEL_SECONDS * rate))
    blocks = samples[: len(samples) // size * size].reshape(-1, size).astype(np.float64)
    power = np.mean(blocks**2, axis=1)
    return np.asarray(np.maximum(10 * np.log10(np.maximum(power, 1e-30)), _LEVEL_FLOOR_DB))


def draw_curves(file: Path, curves: Mapping[str, Curve], ylabel: str, *, smooth: bool = False) -> None:
    """Values over training steps, a line each system; `smooth` draws a running mean over faint values."""
    figure = _figure(4.6, 2.9)
    axes = figure.add_subplot()
    for name, curve in curves.items():
        steps, values = (np.asarray(column, dtype=float) for column in zip(*curve, strict=True))
        colour = COLOURS.get(name, INK)
        if smooth:
            axes.plot(steps, values, color=colour, linewidth=0.6, alpha=0.2)
            values = running_mean(values, max(1, len(values) // 20))
        axes.plot(steps, values, color=colour, linewidth=1.8, marker=None if smooth else "o", markersize=3.5)
    axes.set(xlabel="training step", ylabel=ylabel)
    if smooth:
        axes.set_ylim(*_most([value for curve in curves.values() for _, value in curve]))
    _save(figure, axes, file)


def _most(values: Sequence[float]) -> tuple[float, float]:
    """Limits that leave out single spikes: the middle 96 % and a tenth more on both sides."""
    low, high = np.percentile(values, (2, 98))
    margin = max(0.1 * (high - low), 1e-6)
    return float(low - margin), float(high + margin)


def running_mean(values: npt.NDArray[np.float64], width: int) -> npt.NDArray[np.float64]:
    """Mean of each value and the `width - 1` before it (fewer at the start): it never looks ahead."""
    total = np.cumsum(np.concatenate([[0.0], values]))
    end = np.arange(1, len(values) + 1)
    start = np.maximum(0, end - width)
    return np.asarray((total[end] - total[start]) / (end - start))


def _image(file: Path, values: Decibels, **colours: Any) -> None:
    try:
        from matplotlib.image import imsave
    except ImportError:
        raise MissingExtraError("drawing", "train") from None
    with atomic_file(file) as temporary:
        imsave(temporary, values, origin="lower", **colours)


def _figure(width: float, height: float, layout: Literal["constrained"] | None = "constrained") -> Any:
    try:
        from matplotlib.figure import Figure  # not pyplot: no global state and no display
    except ImportError:
        raise MissingExtraError("drawing", "train") from None
    return Figure(figsize=(width, height), layout=layout)


def _save(figure: Any, axes: Axes, file: Path) -> None:
    for side, spine in axes.spines.items():
        spine.set_visible(side in ("left", "bottom"))
        spine.set_color(INK)
    axes.tick_params(colors=INK, labelsize=10)
    axes.xaxis.label.set(color=INK, size=10)
    axes.yaxis.label.set(color=INK, size=10)
    axes.grid(color=INK, alpha=0.2, linewidth=0.6)
    with atomic_file(file) as temporary:
        figure.savefig(temporary, dpi=160, transparent=True)
