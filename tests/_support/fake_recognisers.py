"""Recognisers for tests, whose transcript depends on the length of a recording."""

import sys
from pathlib import Path

import numpy as np
import soundfile

from stillwave.evaluation.recognisers import RECOGNISERS, load

RATE = 16_000


class Fake:
    """Knows a text for each length in samples; an exception among them is raised."""

    name, version = "fake", "1"

    def __init__(self, texts):
        self.texts, self.asked = dict(texts), []

    def transcribe(self, samples, rate):
        assert samples.ndim == 1
        self.asked.append(len(samples))
        message = self.texts[len(samples)]
        if isinstance(message, Exception):
            raise message
        return message


def install(monkeypatch, texts) -> Fake:
    """Make `fake` a recogniser, for one test."""
    fake = Fake(texts)
    monkeypatch.setitem(RECOGNISERS, "fake", lambda rest: fake)
    load.cache_clear()
    return fake


def clip(path: Path, samples: int, channels: int = 1, level: float = 0.1) -> Path:
    """A recording of so many samples."""
    path.parent.mkdir(parents=True, exist_ok=True)
    noise = np.random.default_rng(samples).standard_normal((samples, channels))
    soundfile.write(path, (level * noise).astype(np.float32), RATE, subtype="FLOAT")
    return path


def program(path: Path, body: str) -> str:
    """A recogniser's line for a Python program, in which `frames` is the recording's length and `wav` its file."""
    head = "import sys, wave\nwav = sys.argv[1]\nframes = wave.open(wav).getnframes()\n"
    path.write_text(head + body)
    return f"cmd: '{sys.executable}' '{path}' {{wav}}"
