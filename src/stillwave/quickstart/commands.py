"""Command lines of the page, which run as they are written from the folder that the quick start was started in."""

from __future__ import annotations

import shlex
import shutil
import sys
from pathlib import Path
from typing import NamedTuple

from stillwave.quickstart.settings import Settings


class CommandLine(NamedTuple):
    """What a command line does, and the line."""

    what: str
    line: str


def program() -> str:
    """How this program was started, as a shell takes it: `stillwave`, `.venv/bin/stillwave`, `python -m stillwave`."""
    started = Path(sys.argv[0])
    if started.stem == "stillwave" and started.is_file():
        found = shutil.which("stillwave")
        if found is not None and Path(found).resolve() == started.resolve():
            return "stillwave"
        return shlex.quote(_short(started))
    return f"{shlex.quote(_short(Path(sys.executable)))} -m stillwave"


def commands(settings: Settings, recording: Path) -> list[CommandLine]:
    """What to do next; `recording` is a noisy file that exists."""
    out, start = settings.output, program()
    noisy = _quoted(recording)
    student = _quoted(out / "runs" / "distilled")
    again = f"{start} quickstart"
    audio = "" if settings.audio is None else f" --audio {_quoted(settings.audio)}"
    return [
        CommandLine(
            "Denoise a recording with the distilled student (put a file of yours in the first place)",
            f"{start} enhance {noisy} --overwrite -m {student} -o {_quoted(out / 'denoised-by-student.wav')}",
        ),
        CommandLine("What the student is, and what it costs", f"{start} models {student}"),
        CommandLine("Train four times as long", f"{again} -o {_beside(out, 'longer')} --minutes 32{audio}"),
        CommandLine(
            "The full pipeline: train a teacher too",
            f"{again} -o {_beside(out, 'teacher')} --train-teacher{audio}",
        ),
        CommandLine("One file to pass on, with sound and pictures in it", _same(settings, again)),
        CommandLine("Every recipe that ships", f"{start} recipes ls"),
    ]


def with_shipped_model(settings: Settings, recording: Path) -> CommandLine:
    """The command line that denoises with the model that ships."""
    target = _quoted(settings.output / "denoised-by-shipped-model.wav")
    return CommandLine(
        "Denoise a recording of your own with the model that ships",
        f"{program()} enhance {_quoted(recording)} --overwrite -o {target}",
    )


def _same(settings: Settings, again: str) -> str:
    """The command line of this quick start, with `--single-file`."""
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
    """The path from the current folder if it is inside of it, else the whole."""
    whole = path if path.is_absolute() else Path.cwd() / path
    try:
        inside = str(whole.relative_to(Path.cwd()))
    except ValueError:
        return str(whole)
    return inside if "/" in inside else f"./{inside}"
