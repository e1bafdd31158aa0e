"""Command lines of the page, for the folder in which the quick start was started."""

from __future__ import annotations

import shlex
import shutil
import sys
from pathlib import Path
from typing import NamedTuple

from stillwave.quickstart.settings import Settings


class CommandLine(NamedTuple):
    """The purpose of a command line, and the line."""

    what: str
    line: str


def program() -> str:
    """Return how this program was started: `stillwave`, `.venv/bin/stillwave` or `python -m stillwave`."""
    started = Path(sys.argv[0])
    if started.stem == "stillwave" and started.is_file():
        found = shutil.which("stillwave")
        if found is not None and Path(found).resolve() == started.resolve():
            return "stillwave"
        return shlex.quote(_short(started))
    return f"{shlex.quote(_short(Path(sys.executable)))} -m stillwave"


def commands(settings: Settings, recording: Path) -> list[CommandLine]:
    """Return commands for next steps; `recording` is an existing noisy file."""
    out, start = settings.output, program()
    noisy = _quoted(recording)
    student = _quoted(out / "runs" / "distilled")
    again = f"{start} quickstart"
    audio = "" if settings.audio is None else f" --audio {_quoted(settings.audio)}"
    return [
        CommandLine(
            "Denoise a recording with the distilled student (replace the first file by yours)",
            f"{start} enhance {noisy} --overwrite -m {student} -o {_quoted(out / 'denoised-by-student.wav')}",
        ),
        CommandLine("Show the size and complexity of the student", f"{start} models {student}"),
        CommandLine("Train four times as long", f"{again} -o {_beside(out, 'longer')} --minutes 32{audio}"),
        CommandLine(
            "Run the full pipeline with a teacher trained here",
            f"{again} -o {_beside(out, 'teacher')} --train-teacher{audio}",
        ),
        CommandLine("Write one file with audio and pictures to share", _same(settings, again)),
        CommandLine("List the shipped recipes", f"{start} recipes ls"),
    ]


def with_shipped_model(settings: Settings, recording: Path) -> CommandLine:
    """Return the command line that denoises with the default model."""
    target = _quoted(settings.output / "denoised-by-shipped-model.wav")
    return CommandLine(
        "Denoise your recording with the default model",
        f"{program()} enhance {_quoted(recording)} --overwrite -o {target}",
    )


def _same(settings: Settings, again: str) -> str:
    """Return the command line of this quick start with `--single-file`."""
    parts = [again, "-o", _quoted(settings.output)]
    for option, value in (("--audio", settings.audio), ("--enhance", settings.enhance)):
        parts += [] if value is None else [option, _quoted(value)]
    if settings.minutes != Settings.minutes:
        parts += ["--minutes", f"{settings.minutes:g}"]
    if settings.seed:
        parts += ["--seed", str(settings.seed)]
    if settings.train_teacher:
        parts += ["--train-teacher"]
    return " ".join([*parts, "--single-file"])


def _beside(out: Path, suffix: str) -> str:
    return _quoted(out.with_name(f"{out.resolve().name}-{suffix}"))


def _quoted(path: Path) -> str:
    return shlex.quote(str(path))


def _short(path: Path) -> str:
    """Return the path relative to the current folder if it is inside it, otherwise the absolute path."""
    whole = path if path.is_absolute() else Path.cwd() / path
    try:
        inside = str(whole.relative_to(Path.cwd()))
    except ValueError:
        return str(whole)
    return inside if "/" in inside else f"./{inside}"
