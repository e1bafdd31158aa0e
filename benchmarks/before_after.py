"""The README's picture: a recording before and after `stillwave enhance`, as two spectrograms.

    python benchmarks/before_after.py docs/pictures/before-after.png

The recording is made here and free of rights: a sentence by espeak-ng (extra `demo`) in synthesised rain, both from
the quick start's corpus. None of it was used to train the models that ship.
"""

from __future__ import annotations

import argparse
import tempfile
from pathlib import Path
from typing import Any

import numpy as np

import stillwave
from evaluate_pretrained.pictures import INK, RANGE_DB, save, spectrogram  # type: ignore[import-not-found]
from stillwave.audio import Samples, read
from stillwave.data.demo.espeak import Voice, speak_in_process
from stillwave.data.demo.mixtures import Mixed, mix
from stillwave.data.demo.noises import NOISES
from stillwave.evaluation.sdr import si_sdr
from stillwave.schema import SAMPLE_RATE

TEXT = "Welcome back to the show. Today we talk about the weather."
VOICE = Voice("en-us", "f4", pitch=55, intonation=60, words_per_minute=165)
NOISE, SNR_DB, SEED = "rain", 5.0, 0
MARGIN = 0.4
"""Noise alone before and after the sentence, in seconds."""


def recording() -> Mixed:
    """The noisy recording and its clean reference."""
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "speech.wav"
        speak_in_process(VOICE, [(TEXT, file)], SAMPLE_RATE)
        speech = np.pad(read(file)[0][0], int(MARGIN * SAMPLE_RATE))
    rng = np.random.default_rng(SEED)
    noise = NOISES[NOISE](rng, len(speech) / SAMPLE_RATE, SAMPLE_RATE)
    return mix(speech, noise, SNR_DB, SAMPLE_RATE, rng)


def draw(before: Samples, after: Samples, file: Path) -> None:
    """Draw two panels, one above the other, on one colour scale. Letters stay legible at a third of the size."""
    from matplotlib.figure import Figure

    spectra = {"before": spectrogram(before), "after": spectrogram(after)}
    top = float(np.percentile(spectra["before"], 99.95))
    figure = Figure(figsize=(10, 6.6), layout="constrained")
    axes: Any = figure.subplots(2, 1, sharex=True)
    extent = (0, len(before) / SAMPLE_RATE, 0, SAMPLE_RATE / 2000)
    for axis, (name, values) in zip(axes, spectra.items(), strict=True):
        axis.imshow(
            values, origin="lower", aspect="auto", cmap="magma", vmin=top - RANGE_DB, vmax=top, extent=extent
        )
        axis.set_title(name, color=INK, fontsize=26, loc="left")
        axis.set_ylabel("kHz", color=INK, fontsize=22)
        axis.set_yticks([0, 4, 8])
        axis.tick_params(colors=INK, labelsize=22)
    axes[-1].set_xlabel("seconds", color=INK, fontsize=22)
    save(figure, file, colours=32)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("picture", type=Path)
    arguments = parser.parse_args()
    mixed = recording()
    enhanced = stillwave.load().enhance(mixed.noisy, SAMPLE_RATE)
    draw(mixed.noisy, enhanced, arguments.picture)
    before, after = (si_sdr(mixed.clean, estimate) for estimate in (mixed.noisy, enhanced))
    print(
        f"{NOISE}, SI-SDR {before:.1f} dB before, {after:.1f} dB after; {arguments.picture.stat().st_size} bytes"
    )


if __name__ == "__main__":
    main()
