"""What the page plays: a few test mixtures, and the user's own recording, through every system, at one loudness."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from stillwave.quickstart import loudness, pictures
from stillwave.quickstart.page import Example, ReportSystem, Track
from stillwave.schema import SAMPLE_RATE

if TYPE_CHECKING:
    from stillwave.data.pair_sets import Pair

Samples = npt.NDArray[np.float32]

SHOWN = 3
OWN_SECONDS = 30
"""Of a user's recording are shown; the whole of it is enhanced."""
_LEVELS = ("noisy", "alone", "distilled", "clean")


@dataclass(frozen=True)
class ExampleSignals:
    """One recording through the systems: mono signals `[n]` at 16 kHz, by system."""

    name: str
    title: str
    note: str
    signals: Mapping[str, Samples]
    scores: Mapping[str, Mapping[str, float]]


def choose(pairs: Sequence[Pair], count: int = SHOWN) -> list[Pair]:
    """A few that differ: from the noisiest third, the middle and the quietest (by SNR where it is known)."""
    known = [pair for pair in pairs if pair.snr_db is not None]
    order = sorted(known, key=lambda pair: (pair.snr_db, pair.id)) if known else list(pairs)
    count = min(count, len(order))
    return [order[(2 * i + 1) * len(order) // (2 * count)] for i in range(count)]


def title(pair: Pair) -> str:
    """What is said, as a sentence; else the mixture's id."""
    text = pair.text.strip()
    if not text:
        return f"Mixture {pair.id}"
    return f"“{text.capitalize() if text.isupper() else text}”"


def note(pair: Pair) -> str:
    """What is known of a mixture: SNR, noise, room."""
    noise = re.sub(r"_(train|development|test)_\d+$", "", pair.noise)
    known = [
        f"SNR {pair.snr_db:g} dB" if pair.snr_db is not None else "",
        f"noise: {noise}" if noise else "",
        "reverberant" if pair.rir else "",
        f"speaker {pair.speaker}" if pair.speaker else "",
    ]
    return " · ".join(part for part in known if part)


def make(folder: Path, heard: ExampleSignals, systems: Mapping[str, ReportSystem]) -> Example:
    """Write audio and pictures of one recording below `folder`, all at one loudness, and say where they are."""
    safe = re.sub(r"[^A-Za-z0-9._-]+", "_", heard.name)
    signals, gains = loudness.match(heard.signals)
    top_db = float(pictures.spectrogram(signals.get("clean", signals["noisy"])).max())
    tracks = []
    for key, samples in signals.items():
        audio, picture = f"audio/{safe}_{key}.wav", f"pictures/{safe}_{key}.png"
        _write(folder / audio, samples)
        pictures.draw_spectrogram(folder / picture, samples, top_db)
        tracks.append(Track(systems[key], audio, picture, gains[key], dict(heard.scores.get(key, {}))))
    levels, difference = f"pictures/{safe}_levels.png", f"pictures/{safe}_difference.png"
    shown = {key: signals[key] for key in _LEVELS if key in signals}
    pictures.draw_levels(folder / levels, shown, SAMPLE_RATE)
    pictures.draw_difference(folder / difference, signals["alone"], signals["distilled"], top_db)
    seconds = len(signals["noisy"]) / SAMPLE_RATE
    return Example(heard.title, heard.note, seconds, tracks, levels, list(shown), difference)


def _write(file: Path, samples: Samples) -> None:
    """16 bits, which every browser plays."""
    from stillwave.audio import write

    file.parent.mkdir(parents=True, exist_ok=True)
    write(file, samples[None], SAMPLE_RATE, subtype="PCM_16")
