"""The blind page: comparisons A/B/X of two systems, whose names are shown after the last answer.

X is A or B. The listener says which, and which of A and B is better. Order and choice follow the seed. The answers are
saved as a JSON file. Files have neutral names; the key is in the page, encoded, so that a listener does not read it
by accident.
"""

from __future__ import annotations

import base64
import itertools
import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np

from stillwave.arena.clips import Clip
from stillwave.errors import StillwaveError
from stillwave.reports.html import write_page
from stillwave.reports.listening import write_clip

FILE = "blind.html"


@dataclass(frozen=True)
class Trial:
    """A comparison: the recording, the systems behind A and B, and which of them is X (`a` or `b`)."""

    recording: str
    a: str
    b: str
    x: str


def trials(clips: Sequence[Clip], count: int, seed: int) -> list[Trial]:
    """Return `count` comparisons or fewer, of all pairs of systems in turn, in random order.

    Raises:
        StillwaveError: There are fewer than two systems.

    """
    pairs = list(itertools.combinations(clips[0].systems, 2)) if clips else []
    if clips and not pairs:
        raise StillwaveError("--blind: two or more systems are needed for a comparison")
    random = np.random.default_rng([seed, len(clips), count])
    everything = [(clip.id, pair) for turn in range(len(clips)) for clip, pair in _turn(clips, pairs, turn)]
    found = []
    for recording, pair in everything[:count]:
        a, b = pair if random.random() < 0.5 else pair[::-1]
        found.append(Trial(recording, a, b, "a" if random.random() < 0.5 else "b"))
    return [found[i] for i in random.permutation(len(found))]


def _turn(
    clips: Sequence[Clip], pairs: Sequence[tuple[str, str]], turn: int
) -> list[tuple[Clip, tuple[str, str]]]:
    """Return every pair once, each with another clip than in the other turns."""
    return [(clips[(turn + number) % len(clips)], pair) for number, pair in enumerate(pairs)]


def write(output: Path, clips: Sequence[Clip], count: int, seed: int) -> Path:
    """Write the page and its audio into `output` and return its path."""
    by_id = {clip.id: clip for clip in clips}
    found = trials(clips, count, seed)
    boxes = []
    for number, trial in enumerate(found):
        clip = by_id[trial.recording]
        chosen = {"A": trial.a, "B": trial.b, "X": trial.a if trial.x == "a" else trial.b}
        files = {letter: f"blind/{number:02d}-{letter.lower()}.wav" for letter in chosen}
        for letter, file in files.items():
            write_clip(output / file, clip.versions[chosen[letter]], clip.rate)
        boxes.append(files)
    key = base64.b64encode(json.dumps([asdict(trial) for trial in found]).encode()).decode("ascii")
    return write_page(
        output / FILE,
        "stillwave.arena",
        {"boxes": boxes, "key": key, "seed": seed, "store": f"{seed}-{hash_of(key)}"},
        template="blind.html",
    )


def hash_of(text: str) -> str:
    """Return a short hash, by which a browser stores the answers to this page only."""
    import hashlib

    return hashlib.sha256(text.encode()).hexdigest()[:12]
