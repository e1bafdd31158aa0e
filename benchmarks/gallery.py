"""Recordings of the page docs/gallery.md: synthesised speech in synthesised noise, enhanced by each shipped model.

    python benchmarks/gallery.py docs

writes docs/audio/*.mp3 and docs/pictures/gallery-*.png, and prints the figures of the page. Needs the extras `demo`,
`train` and `eval`.
The recordings are free of rights, and none of them was used in training.
"""

from __future__ import annotations

import argparse
import tempfile
from dataclasses import dataclass
from pathlib import Path

import numpy as np

import stillwave
from before_after import draw  # type: ignore[import-not-found]
from stillwave.audio import Samples, read, write
from stillwave.data.demo.espeak import Voice, speak_in_process
from stillwave.data.demo.mixtures import Mixed, mix
from stillwave.data.demo.noises import NOISES
from stillwave.evaluation import score
from stillwave.schema import SAMPLE_RATE

MARGIN = 0.4
"""Noise alone before and after the sentence, in seconds."""
MODELS = ("bsrnn-xs", "bsrnn-m")
METRICS = ("pesq_wb", "si_sdr")


@dataclass(frozen=True)
class Example:
    """A sentence, a voice and a noise at an SNR in dB."""

    name: str
    voice: Voice
    text: str
    noise: str
    snr_db: float


EXAMPLES = (
    Example(
        "rain",
        Voice("en-us", "f4", 55, 60, 165),
        "The train to the coast leaves in five minutes",
        "rain",
        5.0,
    ),
    Example(
        "machine",
        Voice("en-us", "m3", 40, 50, 160),
        "Please send me the report before Friday",
        "machine",
        0.0,
    ),
    Example(
        "wind",
        Voice("de", "f2", 55, 60, 160),
        "Heute scheint die Sonne, morgen kommt der Regen.",
        "wind",
        0.0,
    ),
    Example(
        "alarm", Voice("es", "m1", 45, 60, 160), "El mercado abre a las ocho de la mañana.", "alarm", 5.0
    ),
)


def recording(example: Example, seed: int) -> Mixed:
    """Return the noisy recording and its clean reference at 16 kHz."""
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "speech.wav"
        speak_in_process(example.voice, [(example.text, file)], SAMPLE_RATE)
        speech = np.pad(read(file)[0][0], int(MARGIN * SAMPLE_RATE))
    rng = np.random.default_rng(seed)
    noise = NOISES[example.noise](rng, len(speech) / SAMPLE_RATE, SAMPLE_RATE)
    return mix(speech, noise, example.snr_db, SAMPLE_RATE, rng)


def figures(estimate: Samples, clean: Samples) -> str:
    """Return PESQ-WB and SI-SDR (dB) as text."""
    values = score(clean, estimate, METRICS)
    return " / ".join(f"{values[m].value:.{d}f}" for m, d in zip(METRICS, (2, 1), strict=True))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("docs", type=Path)
    docs = parser.parse_args().docs
    for seed, example in enumerate(EXAMPLES):
        mixed = recording(example, seed)
        signals = {"noisy": mixed.noisy}
        signals |= {name: stillwave.load(name).enhance(mixed.noisy, SAMPLE_RATE) for name in MODELS}
        signals["clean"] = mixed.clean
        for name, samples in signals.items():
            file = docs / "audio" / f"{example.name}-{name}.mp3"
            file.unlink(missing_ok=True)
            write(file, samples[None], SAMPLE_RATE)
        draw(mixed.noisy, signals[MODELS[-1]], docs / "pictures" / f"gallery-{example.name}.png")
        shown = [figures(samples, mixed.clean) for name, samples in signals.items() if name != "clean"]
        print(f"| {example.name}, {example.snr_db:g} dB | {' | '.join(shown)} |")


if __name__ == "__main__":
    main()
