"""The page has the tables of `stillwave evaluate`, and commands name everything that is scored."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from evaluate_pretrained import page, scores
from evaluate_pretrained.place import Network, Place
from stillwave.audio import write

SUMMARY = """# Scores of 2 recordings

Means with bootstrap 95 % intervals over recordings (seed 0).

| system | PESQ-WB |
| --- | --- |
| noisy | 1.424 |

## By SNR

| SNR | system | PESQ-WB |
| --- | --- | --- |
| 0 … 5 dB | noisy | 1.2 |

## Missing scores and warnings

- noisy: 1
"""


def test_tables_are_those_of_evaluate(tmp_path: Path) -> None:
    (tmp_path / "summary.md").write_text(SUMMARY, encoding="utf-8")
    assert list(page.first_table(tmp_path)) == ["| system | PESQ-WB |", "| --- | --- |", "| noisy | 1.424 |"]
    shown = list(page.quality(tmp_path))
    assert shown[:3] == list(page.first_table(tmp_path))
    assert "### By SNR" in shown
    assert shown[-1] == "| 0 … 5 dB | noisy | 1.2 |"


def test_scores_are_kept_for_the_same_weights(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    samples = np.zeros(1600, np.float32)
    for side in ("noisy", "clean"):
        write(tmp_path / "set" / side / "a.wav", samples, 16_000)
    place = Place.of(tmp_path / "set", tmp_path / "work", 1)
    commands: list[list[str]] = []

    def run(command: list[str], check: bool) -> None:
        assert check
        commands.append(command)
        folder = Path(command[command.index("-o") + 1])
        folder = folder / command[command.index("--only") + 1] if "--only" in command else folder
        folder.mkdir(parents=True)
        (folder / ("a.wav" if "--only" in command else "summary.md")).touch()

    monkeypatch.setattr(scores.subprocess, "run", run)

    def request(fingerprint: str) -> scores.Request:
        return scores.Request(
            [Network("mine", fingerprint, Path("mine.onnx"))], Path("graphs"), "language", "r"
        )

    kinds = (scores.quality, scores.ratings, scores.words)
    found = [kind(request("1"), place) for kind in kinds]
    assert len(commands) == len(scores.PEERS) + 3
    quality, _, words = (" ".join(command) for command in commands[-3:])
    assert "mine=mine.onnx" in quality
    assert all(f"--enhanced {name}=" in quality for name in scores.PEERS.values())
    assert "--by language" in quality
    assert "wer" not in quality
    assert "--metrics wer --recogniser r --references texts" in words
    assert [kind(request("1"), place) for kind in kinds] == found
    assert len(commands) == len(scores.PEERS) + 3
    assert scores.quality(request("2"), place) != found[0]
    assert len(commands) == len(scores.PEERS) + 4
