"""The page's commands: with the program's own path, and understood by the command line."""

from __future__ import annotations

import shlex
import sys
from pathlib import Path

import pytest
from typer.testing import CliRunner

from stillwave.cli import build
from stillwave.quickstart import commands
from stillwave.quickstart.settings import Settings


@pytest.fixture
def checkout(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with a virtual environment, and a shell in it that has not activated that."""
    script = tmp_path / ".venv" / "bin" / "stillwave"
    script.parent.mkdir(parents=True)
    script.touch(mode=0o755)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("PATH", "/usr/bin")
    return script


def test_the_path_by_which_it_was_started(checkout: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "argv", [".venv/bin/stillwave"])
    assert commands.program() == ".venv/bin/stillwave"
    monkeypatch.setattr(sys, "argv", [str(checkout)])
    assert commands.program() == ".venv/bin/stillwave"
    monkeypatch.setenv("PATH", str(checkout.parent))
    assert commands.program() == "stillwave", "where the environment is active"


def test_a_path_with_a_space_and_one_elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "here").mkdir()
    (tmp_path / "my tools").mkdir()
    script = tmp_path / "my tools" / "stillwave"
    script.touch()
    monkeypatch.chdir(tmp_path / "here")
    monkeypatch.setattr(sys, "argv", [str(script)])
    assert shlex.split(commands.program()) == [str(script)]


@pytest.mark.parametrize(
    "started", ["/a/stillwave/__main__.py", "/usr/bin/pytest", "gone/stillwave", "-c", ""]
)
def test_other_starts_use_the_python_module(started: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "argv", [started])
    python, *rest = shlex.split(commands.program())
    assert Path(python).resolve() == Path(sys.executable).resolve()
    assert rest == ["-m", "stillwave"]


def test_every_command_is_valid(checkout: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "argv", [".venv/bin/stillwave"])
    settings = Settings(Path("my first"), audio=Path("re cordings"), minutes=2, seed=3, train_teacher=True)
    noisy = Path("my first/audio/000 noisy.wav")
    lines = [*commands.commands(settings, noisy), commands.with_shipped_model(settings, noisy)]
    for line in (command.line for command in lines):
        program, *arguments = shlex.split(line)
        assert program == ".venv/bin/stillwave"
        result = CliRunner().invoke(build(), [*arguments, "--help"])
        assert result.exit_code == 0, result.output
        verb = arguments[0] if arguments[0] != "recipes" else " ".join(arguments[:2])
        for option in (part for part in arguments if part.startswith("-")):
            assert option in result.output, f"{verb} has no {option}"
    again = lines[4].line
    assert shlex.split(again)[1:] == shlex.split(
        "quickstart -o 'my first' --audio 're cordings' --minutes 2 --seed 3 --train-teacher --single-file"
    )
