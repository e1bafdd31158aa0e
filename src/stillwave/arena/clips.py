"""The clips to listen to: the same recording in the versions of all systems, equally loud."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from stillwave.audio import Samples, read
from stillwave.errors import StillwaveError
from stillwave.evaluation import NOISY, Item
from stillwave.reports.listening import match_loudness

CLEAN = "clean"
LONGEST_S = 30.0
"""Clips are cut to this."""


@dataclass(frozen=True)
class Clip:
    """A recording in all versions.

    Attributes:
        id: The name of the recording.
        title: The text that is spoken, or the name.
        note: What is known about it.
        rate: Sampling rate in Hz.
        versions: Mono samples `[N]` by system; with `clean` if there is a reference.
        gains: The gain in dB that makes the speech of a version as loud as in the reference.

    """

    id: str
    title: str
    note: str
    rate: int
    versions: Mapping[str, Samples]
    gains: Mapping[str, float]

    @property
    def systems(self) -> list[str]:
        """The versions to rate: all but the reference and the noisy recording."""
        return [name for name in self.versions if name not in (CLEAN, NOISY)]


def choose(items: Sequence[Item], systems: Sequence[str], count: int) -> list[Clip]:
    """Return clips of up to `count` recordings, evenly spaced by SNR, that have a mono file of every system."""
    complete = [item for item in items if all(system in item.estimates for system in systems)]
    order = sorted(complete, key=lambda item: (item.snr_db is None, item.snr_db or 0.0, item.id))
    count = min(count, len(order))
    chosen = [order[(2 * i + 1) * len(order) // (2 * count)] for i in range(count)]
    return [clip for item in chosen if (clip := _clip(item, systems)) is not None]


def _clip(item: Item, systems: Sequence[str]) -> Clip | None:
    files = {CLEAN: item.clean} if item.clean else {}
    files |= {system: item.estimates[system] for system in systems}
    try:
        found = {name: read(file) for name, file in files.items()}
    except StillwaveError:  # the scores have the reason
        return None
    rates = {rate for _, rate in found.values()}
    if len(rates) > 1 or any(len(samples) != 1 for samples, _ in found.values()):
        return None
    rate = rates.pop()
    length = min(round(LONGEST_S * rate), *(samples.shape[1] for samples, _ in found.values()))
    signals = {name: np.ascontiguousarray(samples[0, :length]) for name, (samples, _) in found.items()}
    matched, gains = match_loudness(signals)
    return Clip(item.id, _title(item), _note(item), rate, matched, gains)


def _title(item: Item) -> str:
    text = item.text.strip()
    return f"“{text.capitalize() if text.isupper() else text}”" if text else f"Recording {item.id}"


def _note(item: Item) -> str:
    known = [
        item.id if item.text.strip() else "",
        f"SNR {item.snr_db:g} dB" if item.snr_db is not None else "",
    ]
    return " · ".join(part for part in known if part)
