"""Spectrograms, and the style of figures: colours, axes, and saving.

Figures have no background, and an ink that is legible on white and on black, so that one file serves both colour
schemes of a page.
"""

from __future__ import annotations

from collections.abc import Iterable
from io import BytesIO
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from stillwave.audio import Samples
from stillwave.errors import MissingExtraError
from stillwave.files import atomic_file

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

INK = "#777e88"
GREY, BLUE, ORANGE, GREEN, PURPLE, RED, MAGENTA = (
    "#8b929c", "#2f7fe0", "#dd7f1f", "#2f9e68", "#8f6bd9", "#c94f6d", "#c2498f",
)  # fmt: skip
SYSTEM_COLOURS = {
    "noisy": GREY,
    "clean": GREEN,
    "teacher": PURPLE,
    "alone": ORANGE,
    "distilled": BLUE,
    "shipped": MAGENTA,
}
"""By system of the quick start, in figures and pages."""
DPI = 160
SUFFIXES = (".png", ".svg")


def new_figure(width: float, height: float) -> Figure:
    """Return an empty figure, sizes in inches. Raises MissingExtraError without matplotlib."""
    try:
        from matplotlib.figure import Figure  # not pyplot: no global state and no display
    except ImportError:
        raise MissingExtraError("drawing", "train") from None
    return Figure(figsize=(width, height), layout="constrained")


def style_axes(axes: Axes, size: float = 8) -> None:
    """Set the ink and font size of axes, with a light grid and without the upper and right border."""
    ink_axes(axes, size)
    for side, spine in axes.spines.items():
        spine.set_visible(side in ("left", "bottom"))
    axes.grid(color=INK, alpha=0.2, linewidth=0.6)


def ink_axes(axes: Axes, size: float = 8) -> None:
    """Set the ink and font size of axes."""
    for spine in axes.spines.values():
        spine.set_color(INK)
    axes.tick_params(colors=INK, which="both", labelsize=size)
    axes.xaxis.label.set(color=INK, size=size)
    axes.yaxis.label.set(color=INK, size=size)
    axes.title.set(color=INK, size=size + 1)


def save_figure(
    figure: Figure, files: Iterable[Path], *, dpi: float = DPI, colours: int | None = None
) -> list[Path]:
    """Write a figure in the format of each suffix (PNG, SVG, PDF), reproducibly.

    `colours`: the size of the palette of a PNG; 256 reduces it to a third, but shows steps in fine gradients.
    """
    import matplotlib as mpl

    files = list(files)
    with mpl.rc_context({"svg.hashsalt": "stillwave", "svg.fonttype": "none"}):
        for file in files:
            with atomic_file(file) as temporary:
                if file.suffix == ".png":
                    _save_png(figure, temporary, dpi, colours)
                else:
                    date = {".svg": "Date", ".pdf": "CreationDate"}[file.suffix]
                    figure.savefig(temporary, transparent=True, metadata={date: None})
    return files


def _save_png(figure: Figure, file: Path, dpi: float, colours: int | None) -> None:
    from PIL import Image  # a requirement of matplotlib

    buffer = BytesIO()
    figure.savefig(buffer, dpi=dpi, transparent=True)
    image: Image.Image = Image.open(buffer)
    if colours:
        image = image.quantize(colours, method=Image.Quantize.FASTOCTREE)
    image.save(file, optimize=True)


def save_image(file: Path, values: Any, **options: Any) -> None:
    """Write a matrix as an image, the first row at the bottom; `options` of matplotlib's `imsave`."""
    try:
        from matplotlib.image import imsave
    except ImportError:
        raise MissingExtraError("drawing", "train") from None
    with atomic_file(file) as temporary:
        imsave(temporary, values, origin="lower", **options)


Decibels = npt.NDArray[np.float64]

RANGE_DB = 75.0
"""The range of the colours below the maximum."""
COLOUR_MAP = "magma"
COLUMNS = 900
"""The most frames; longer recordings have a larger hop."""
_WINDOW, _HOP = 512, 128
_FLOOR = 1e-10


def spectrogram(samples: Samples) -> Decibels:
    """Return the power of mono samples `[N]` in dB, `[257, frames]`: Hann windows of 512 samples, hop 128 or more."""
    hop = max(_HOP, -(-len(samples) // COLUMNS))
    padded = np.pad(samples.astype(np.float64), _WINDOW // 2)
    windows = np.lib.stride_tricks.sliding_window_view(padded, _WINDOW)[::hop]
    power = np.abs(np.fft.rfft(windows * np.hanning(_WINDOW))) ** 2
    return np.asarray(10 * np.log10(np.maximum(power.T, _FLOOR)))
