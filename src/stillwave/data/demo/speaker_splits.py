"""Assign speakers and sentences of the demo corpus to sets."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np

from stillwave.data.demo.espeak import Voice
from stillwave.data.demo.sentences import make_sentences

Split = Literal["train", "development", "test"]
SPLITS: tuple[Split, ...] = ("train", "development", "test")

# Excluded: whispers and effects, variants that clip, the Klatt synthesiser, and every variant with
# `breath` in its file (f2, f3, f5, Alicia, caleb, Reed, sandro, victor), which espeak-ng 1.52 synthesises a little
# differently in every process.
SPEAKERS: dict[Split, tuple[str, ...]] = {
    "train": (
        *("f1", "Andrea", "belinda", "linda", "anika", "shelby", "zac"),
        *("m1", "m2", "m4", "m5", "m7", "Alex", "Michael", "Mike", "adam", "boris", "david", "edward", "max"),
        *("miguel", "quincy", "rob", "marcelo", "antonio"),
    ),
    "development": ("aunty", "m8", "steph", "robert"),
    "test": ("f4", "m3", "Annie", "grandpa", "grandma", "pablo"),
}
BABBLE: dict[Split, tuple[str, ...]] = {
    "train": ("travis", "Denis", "Diogo", "michel", "gustave", "Henrique"),
    "development": ("edward2", "benjamin", "john"),
    "test": ("kaukovalta", "norbert", "ian", "Hugo"),
}
"""Voices of babble only."""

_ACCENTS = (
    *("en-us", "en", "en-gb-x-rp", "en-gb-scotland", "en-029", "en-us-nyc"),
    *("en-gb-x-gbclan", "en-gb-x-gbcwmd"),
)


def speaker_sets(variants: tuple[str, ...], count: int, rng: np.random.Generator) -> dict[str, Voice]:
    """Return `count` speakers by id: each variant in turn, with its own accent, pitch, liveliness and speed."""
    voices: dict[str, Voice] = {}
    for i in range(count):
        voice = Voice(
            language=_ACCENTS[rng.integers(len(_ACCENTS))],
            variant=variants[i % len(variants)],
            pitch=int(rng.integers(30, 75)),
            intonation=int(rng.integers(30, 80)),
            words_per_minute=int(rng.integers(135, 215)),
        )
        voices[f"{voice.variant.lower()}-p{voice.pitch}-s{voice.words_per_minute}"] = voice
    return voices


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
