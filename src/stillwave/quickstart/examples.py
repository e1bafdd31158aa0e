"""The examples of the page: test mixtures and the user's recording, equally loud in the versions of all systems."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from stillwave.audio import Samples
from stillwave.quickstart import pictures
from stillwave.quickstart.page import Example, ReportSystem, Track
from stillwave.reports.figures import spectrogram
from stillwave.reports.listening import match_loudness, write_clip
from stillwave.schema import SAMPLE_RATE

if TYPE_CHECKING:
    from stillwave.data.pair_sets import Pair

SHOWN = 3
OWN_SECONDS = 30
"""The duration of a user's recording on the page; all of it is enhanced."""
_LEVELS = ("noisy", "alone", "distilled", "clean")


@dataclass(frozen=True)
class ExampleSignals:
    """The signals of one recording by system: mono, `[N]` at 16 kHz."""

    name: str
    title: str
    note: str
    signals: Mapping[str, Samples]
    scores: Mapping[str, Mapping[str, float]]


def choose(pairs: Sequence[Pair], count: int = SHOWN) -> list[Pair]:
    """Return a few pairs of low, medium and high SNR (by order if the SNR is not known)."""
    known = [pair for pair in pairs if pair.snr_db is not None]
    order = sorted(known, key=lambda pair: (pair.snr_db, pair.id)) if known else list(pairs)
    count = min(count, len(order))
    return [order[(2 * i + 1) * len(order) // (2 * count)] for i in range(count)]


def title(pair: Pair) -> str:
    """Return the text of a pair, or its id."""
    text = pair.text.strip()
    if not text:
        return f"Mixture {pair.id}"
    return f"“{text.capitalize() if text.isupper() else text}”"


def note(pair: Pair) -> str:
    """Return the SNR, noise, room and speaker of a mixture, as far as known."""
    noise = re.sub(r"_(train|development|test)_\d+$", "", pair.noise)
    known = [
        f"SNR {pair.snr_db:g} dB" if pair.snr_db is not None else "",
        f"noise: {noise}" if noise else "",
        "reverberant" if pair.rir else "",
        f"speaker {pair.speaker}" if pair.speaker else "",
    ]
    return " · ".join(part for part in known if part)


def make(folder: Path, example: ExampleSignals, systems: Mapping[str, ReportSystem]) -> Example:
    """Write the audio and pictures of one recording with equally loud speech, and return their paths."""
    safe = re.sub(r"[^A-Za-z0-9._-]+", "_", example.name)
    signals, gains = match_loudness(example.signals)
    top_db = float(spectrogram(signals.get("clean", signals["noisy"])).max())
    tracks = []
    for key, samples in signals.items():
        audio, picture = f"audio/{safe}_{key}.wav", f"pictures/{safe}_{key}.png"
        write_clip(folder / audio, samples)
        pictures.draw_spectrogram(folder / picture, samples, top_db)
        tracks.append(Track(systems[key], audio, picture, gains[key], dict(example.scores.get(key, {}))))
    levels, difference = f"pictures/{safe}_levels.png", f"pictures/{safe}_difference.png"
    shown = {key: signals[key] for key in _LEVELS if key in signals}
    pictures.draw_levels(folder / levels, shown, SAMPLE_RATE)
    pictures.draw_difference(folder / difference, signals["alone"], signals["distilled"], top_db)
    seconds = len(signals["noisy"]) / SAMPLE_RATE
    return Example(example.title, example.note, seconds, tracks, levels, list(shown), difference)
