"""The verb: thin, and JSON alone on stdout."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import typer
from typer.testing import CliRunner

from stillwave.cli.quickstart import quickstart
from stillwave.quickstart import flow
from stillwave.quickstart.settings import Settings


@pytest.fixture
def calls(monkeypatch: pytest.MonkeyPatch) -> list[Settings]:
    seen: list[Settings] = []

    def run(settings: Settings) -> flow.QuickstartResult:
        seen.append(settings)
        return flow.QuickstartResult(
            settings.output / "index.html", {"verdict": "better", "mixtures": 3}, "one line"
        )

    monkeypatch.setattr(flow, "run", run)
    return seen


def invoke(*arguments: str) -> str:
    app = typer.Typer()
    app.command()(quickstart)
    result = CliRunner().invoke(app, list(arguments))
    assert result.exit_code == 0, result.output
    return result.stdout


def test_the_command_prints_one_line(calls: list[Settings]) -> None:
    assert invoke() == "one line\n"
    assert calls == [Settings(Path("quickstart"))]


def test_json_is_the_only_output_on_stdout(calls: list[Settings]) -> None:
    assert json.loads(invoke("--json")) == {"verdict": "better", "mixtures": 3}


def test_options_reach_the_function(calls: list[Settings]) -> None:
    invoke("-o", "x", "--audio", "mine", "--enhance", "a.wav", "--minutes", "3", "--seed", "7", "--jobs", "2")
    invoke("--train-teacher", "--single-file")
    assert calls == [
        Settings(Path("x"), Path("mine"), Path("a.wav"), 3.0, 7, 2),
        Settings(Path("quickstart"), train_teacher=True, single_file=True),
    ]


def test_help_shows_an_example() -> None:
    text = invoke("--help")
    assert "Example" in text
    assert "--audio" in text
