"""Spectrograms beside one another, on one scale, as PNG of few colours (about 100 KB)."""

from __future__ import annotations

import io
from collections.abc import Mapping
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from stillwave.audio import Samples
from stillwave.files import atomic_file
from stillwave.schema import SAMPLE_RATE

RANGE_DB = 65.0
WINDOW, HOP = 512, 128
COLOURS = 128
INK = "#404040"


def spectrogram(samples: Samples, window: int = WINDOW, hop: int = HOP) -> NDArray[np.float64]:
    """Power in dB, `[bins, frames]`; a full-scale sine is 0 dB."""
    from scipy.signal import stft

    _, _, spectrum = stft(samples, nperseg=window, noverlap=window - hop, boundary=None, padded=False)
    return np.asarray(20 * np.log10(2 * np.abs(spectrum) + 1e-9))


def draw_one(signals: Mapping[str, Samples], title: str, file: Path) -> None:
    """One panel a signal, from top to bottom."""
    from matplotlib.figure import Figure  # not pyplot: no global state and no display

    spectra = {name: spectrogram(samples) for name, samples in signals.items()}
    top = max(float(np.percentile(values, 99.95)) for values in spectra.values())
    figure = Figure(figsize=(7.4, 1.8 * len(spectra)), layout="constrained")
    axes = np.atleast_1d(figure.subplots(len(spectra), 1, sharex=True, sharey=True))
    for axis, (name, values) in zip(axes, spectra.items(), strict=True):
        seconds = len(signals[name]) / SAMPLE_RATE
        image = axis.imshow(
            values,
            origin="lower",
            aspect="auto",
            cmap="magma",
            vmin=top - RANGE_DB,
            vmax=top,
            extent=(0, seconds, 0, SAMPLE_RATE / 2000),
        )
        axis.set_ylabel(f"{name}, kHz", color=INK)
        axis.tick_params(colors=INK)
    axes[0].set_title(title, color=INK, fontsize=10)
    axes[-1].set_xlabel("s", color=INK)
    bar = figure.colorbar(image, ax=list(axes), label="dB", pad=0.01)
    bar.ax.tick_params(colors=INK)
    bar.ax.yaxis.label.set_color(INK)
    save(figure, file)


def draw_sheet(rows: Mapping[str, Mapping[str, Samples]], rate: int, file: Path) -> None:
    """Draw one row for each recording, one column for each of its signals, on one scale within a row."""
    from matplotlib.figure import Figure

    columns = list(next(iter(rows.values())))
    figure = Figure(figsize=(3.1 * len(columns), 1.25 * len(rows)), layout="constrained")
    axes = figure.subplots(len(rows), len(columns), squeeze=False, sharey=True)
    for line, (title, signals) in zip(axes, rows.items(), strict=True):
        spectra = [spectrogram(samples, 2 * WINDOW, 4 * HOP) for samples in signals.values()]
        top = float(np.percentile(spectra[0], 99.95))
        for axis, values in zip(line, spectra, strict=True):
            extent = (0, len(signals[columns[0]]) / rate, 0, rate / 2000)
            limits = {"vmin": top - RANGE_DB - 10, "vmax": top, "cmap": "magma"}
            axis.imshow(values, origin="lower", aspect="auto", extent=extent, **limits)
            axis.tick_params(colors=INK, labelsize=6)
        line[0].set_ylabel(f"{title}, kHz", color=INK, fontsize=7)
    for axis, name in zip(axes[0], columns, strict=True):
        axis.set_title(name, color=INK, fontsize=9)
    save(figure, file)


def save(figure: object, file: Path, colours: int = COLOURS) -> None:
    """Write a figure as PNG with a palette, which takes a third of the space of full colour."""
    from PIL import Image

    buffer = io.BytesIO()
    figure.savefig(buffer, dpi=80, facecolor="white")  # type: ignore[attr-defined]
    buffer.seek(0)
    picture = Image.open(buffer).convert("RGB").quantize(colours, dither=Image.Dither.NONE)
    with atomic_file(file) as temporary:
        picture.save(temporary, optimize=True)
