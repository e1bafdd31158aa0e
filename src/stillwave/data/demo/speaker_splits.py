"""Assign speakers and sentences of the demo corpus to sets."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np

from stillwave.data.demo.espeak import Voice
from stillwave.data.demo.sentences import make_sentences
from stillwave.data.demo.voices import BABBLE, SPEAKERS, SPLITS, Split, speaker_sets

_BABBLE_SENTENCES = 6


@dataclass(frozen=True)
class Size:
    """Size of the corpus. The defaults make about 30 minutes of speech and 10 of noise."""

    speakers: int = 44
    sentences: int = 12
    """Of each training speaker."""
    noises: int = 7
    """Recordings of each kind, in training; the other sets have two of each."""
    noise_seconds: float = 8.0
    rooms: int = 8
    mixtures: int = 24
    """In the development set; the test set has half as many again."""


@dataclass(frozen=True)
class SpeakerScript:
    """The sentences of one speaker, the set, and the role: `speech` or `babble`."""

    split: Split
    role: Literal["speech", "babble"]
    speaker: str
    voice: Voice
    texts: tuple[str, ...]

    def files(self, folder: Path) -> list[Path]:
        """Return the file of each sentence."""
        home = folder / self.split / self.role
        return [home / f"{self.speaker}_{i:02d}.wav" for i in range(len(self.texts))]


def split_speakers(seed: int, size: Size) -> list[SpeakerScript]:
    """Assign voices and sentences: each sentence is used once, each variant of espeak in one set.

    Raises StillwaveError if the grammar has too few sentences for `size`.
    """
    plan: list[tuple[Split, Literal["speech", "babble"], str, Voice, int]] = []
    counts = {
        "train": size.speakers,
        "development": len(SPEAKERS["development"]),
        "test": len(SPEAKERS["test"]),
    }
    for split in SPLITS:
        rng = np.random.default_rng([seed, 3000 + SPLITS.index(split)])
        for speaker, voice in speaker_sets(SPEAKERS[split], counts[split], rng).items():
            plan.append((split, "speech", speaker, voice, _sentences_each(split, size)))
        for speaker, voice in speaker_sets(BABBLE[split], len(BABBLE[split]), rng).items():
            plan.append((split, "babble", speaker, voice, _BABBLE_SENTENCES))
    sentences = iter(make_sentences(sum(item[-1] for item in plan), np.random.default_rng([seed, 4000])))
    return [
        SpeakerScript(split, role, speaker, voice, tuple(next(sentences) for _ in range(count)))
        for split, role, speaker, voice, count in plan
    ]


def mixtures_of(split: Split, size: Size) -> int:
    """Return the number of mixtures of a set; the test set has 1.5 times those of the development set."""
    return {"train": 0, "development": size.mixtures, "test": size.mixtures * 3 // 2}[split]


def _sentences_each(split: Split, size: Size) -> int:
    """Return the sentences per speaker of a set, for one sentence per mixture."""
    return size.sentences if split == "train" else -(-mixtures_of(split, size) // len(SPEAKERS[split]))
