"""Speakers of the demo corpus: espeak variants (the timbre), each in one set."""

from __future__ import annotations

from typing import Literal

import numpy as np

from stillwave.data.demo.espeak import Voice

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
