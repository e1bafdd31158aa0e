"""The guard: which version of a recording is kept, from a recogniser whose confidence is known."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from denoisers import Toy, half

from stillwave import audio
from stillwave.audio import Samples
from stillwave.evaluation import guard
from stillwave.evaluation.guard import Guard, choose
from stillwave.evaluation.recognisers import RecogniserError
from stillwave.evaluation.recognisers.contract import Recognition
from stillwave.inference import Enhancer

RATE = 16_000
SURE, UNSURE, SILENT = Recognition("a cat", -0.2), Recognition("a hat", -0.9), Recognition("", None)
REPEATING = Recognition("no no no no", -0.1, repetition=3.0)


@pytest.mark.parametrize(
    ("original", "enhanced", "kept", "reason"),
    [
        (SURE, UNSURE, False, "log probability of the words: -0.90 enhanced, -0.20 original"),
        (UNSURE, SURE, True, "log probability"),
        (SURE, SURE, False, "log probability"),
        (UNSURE, Recognition("a bat", -0.86), False, "log probability"),
        (SURE, SILENT, False, "no words in the enhanced version"),
        (SILENT, UNSURE, True, "no words in the original version"),
        (SILENT, SILENT, False, "finds no words"),
        (UNSURE, REPEATING, False, "repeats words in the enhanced version"),
        (REPEATING, UNSURE, True, "repeats words in the original version"),
    ],
)
def test_the_surer_version_is_kept(
    original: Recognition, enhanced: Recognition, kept: bool, reason: str
) -> None:
    choice = choose(original, enhanced)
    assert choice.enhanced is kept
    assert reason in choice.reason


class ByLevel:
    """A recogniser that is the surer, the lower the peak; it remembers the lengths that it was given."""

    name, version = "by level", "1"

    def __init__(self) -> None:
        self.lengths: list[int] = []

    def transcribe(self, samples: Samples, rate: int) -> str:
        return self.recognise(samples, rate).text

    def recognise(self, samples: Samples, rate: int) -> Recognition:
        self.lengths.append(len(samples))
        return Recognition("one two", -float(np.abs(samples).max()))


@pytest.fixture
def by_level(monkeypatch: pytest.MonkeyPatch) -> ByLevel:
    found = ByLevel()
    monkeypatch.setattr(guard, "load", lambda name: found)
    return found


@pytest.mark.parametrize(("rule", "kept"), [(half, True), (lambda noisy: 2 * noisy, False)])
def test_a_file_is_compared_with_its_mix(tmp_path: Path, by_level: ByLevel, rule, kept: bool) -> None:
    file = tmp_path / "a.wav"
    audio.write(file, np.full((2, RATE), 0.2, np.float32), RATE)
    choice = Guard(Enhancer(Toy(rule)), "by level", limit_db=20).choose(file)
    assert choice.enhanced is kept
    mixed = 0.9 * (0.1 if kept else 0.4) + 0.1 * 0.2
    assert f"{-mixed:.2f} enhanced, -0.20 original" in choice.reason


def test_a_long_file_is_compared_in_excerpts(tmp_path: Path, by_level: ByLevel, monkeypatch) -> None:
    monkeypatch.setattr(guard, "_EXCERPT_SECONDS", 1)
    monkeypatch.setattr(guard, "_MOST_EXCERPTS", 3)
    file = tmp_path / "a.wav"
    audio.write(file, np.full((1, 10 * RATE), 0.2, np.float32), RATE)
    assert Guard(Enhancer(Toy(half)), "by level").choose(file).enhanced
    assert by_level.lengths == [RATE] * 6


def test_a_recogniser_without_confidence_is_refused() -> None:
    with pytest.raises(RecogniserError, match="confidence"):
        Guard(Enhancer(Toy(half)), "cmd: cat {wav}")
