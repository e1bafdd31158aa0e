"""`stillwave arena` as its users meet it."""

from __future__ import annotations

import json
from pathlib import Path

import arena_systems
import pytest
from typer.testing import CliRunner

from stillwave.cli import build


def call(*arguments: str):
    return CliRunner().invoke(build(), ["arena", *arguments, "--jobs", "1"])


@pytest.fixture
def here(tmp_path: Path, monkeypatch) -> Path:
    arena_systems.module(tmp_path)
    arena_systems.mixtures(tmp_path / "test", 2)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_scores_and_costs_as_json(here: Path) -> None:
    result = call("x=python:systems:half", "--on", "test", "--metrics", "snr", "--json", "--by", "language")
    assert result.exit_code == 0, result.output
    found = json.loads(result.stdout)
    assert found["summary"]["means"]["x"]["snr"]["interval"]["mean"] == pytest.approx(2.5, abs=0.01)
    assert list(found["summary"]["by"]) == ["language"]
    assert found["costs"]["x"]["delay_ms"] == 0


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("rnnoise", "--on", "absent", "--metrics", "snr"), "absent: there is no such folder"),
        (("rnnoise", "--on", "test", "--blind", "3"), "--blind and --tests: need --output DIR"),
        (("rnnoise", "--on", "test", "--tests", "mushra"), "--tests mushra: expected webmushra or p835"),
        (("noisy=rnnoise", "--on", "test"), "'noisy' cannot be the name of a system"),
        (("python:systems:absent", "--on", "test", "--metrics", "snr"), "cannot be imported"),
    ],
)
def test_errors_are_one_sentence(here: Path, arguments: tuple[str, ...], message: str) -> None:
    result = call(*arguments)
    assert result.exit_code == 2
    assert message in " ".join(result.stderr.split())
    assert "Traceback" not in result.output
