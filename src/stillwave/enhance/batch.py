"""Which file becomes which: files to a file or a folder, folders to a folder of the same structure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from stillwave.audio import FORMATS
from stillwave.errors import AudioError


@dataclass(frozen=True)
class Job:
    """One recording and where its estimate goes."""

    source: Path
    target: Path


@dataclass
class Plan:
    """What is to be done, and what is not: (path, reason)."""

    jobs: list[Job] = field(default_factory=list)
    skipped: list[tuple[Path, str]] = field(default_factory=list)


BESIDE = "-enhanced"
"""Behind the name of an input: the name of what is made of it when no output is given."""


def plan(inputs: Sequence[Path], output: Path | None = None) -> Plan:
    """Pair every input with its target, in a fixed order.

    Without an output, `talk.mp3` becomes `talk-enhanced.mp3` and the folder `day` becomes `day-enhanced`, each beside
    its input.
    One file and an output with the suffix of an audio format: a file. Everything else goes into `output` as a
    folder: files by their names, folders by the paths inside them. In folders, only the suffixes of
    `audio.FORMATS` are taken. Raises `AudioError` for a missing input, a suffix
    that is no format, and two inputs with one target.
    """
    for path in inputs:
        if not path.exists():
            raise AudioError(f"{path}: there is no such file or folder")
    made = Plan()
    if output is None:
        for part in [plan([path], _beside(path)) for path in inputs]:
            made.jobs += part.jobs
            made.skipped += part.skipped
        _check_unique(made.jobs)
        return made
    single = len(inputs) == 1 and inputs[0].is_file()
    if single and output.suffix.lower() in FORMATS and not output.is_dir():
        made.jobs.append(Job(inputs[0], output))
        return made
    if single and output.suffix and not output.exists():
        raise AudioError(
            f"{output}: '{output.suffix}' is no audio format that can be written; known: {', '.join(sorted(FORMATS))}; "
            "for a folder give a name without a suffix, or make it first"
        )
    if output.exists() and not output.is_dir():
        raise AudioError(f"{output}: this is a file; give a folder for more than one recording")
    for path in inputs:
        if path.is_dir():
            _add_folder(made, path, output)
        else:
            made.jobs.append(Job(path, output / path.name))
    _check_unique(made.jobs)
    return made


def _beside(path: Path) -> Path:
    whole = path if path.name not in ("", "..") else path.resolve()  # "." and ".." have no name to add to
    stem, suffix = (whole.name, "") if path.is_dir() else (whole.stem, whole.suffix)
    return whole.with_name(stem + BESIDE + suffix)


def _add_folder(made: Plan, folder: Path, output: Path) -> None:
    earlier = output.resolve()
    for path in sorted(folder.rglob("*")):
        if path.is_dir():
            continue
        if path.resolve().is_relative_to(earlier) and earlier != folder.resolve():
            made.skipped.append((path, "lies in the output folder"))
        elif path.name.startswith("."):
            made.skipped.append((path, "hidden file"))
        elif path.suffix.lower() not in FORMATS:
            made.skipped.append((path, f"not an audio format: '{path.suffix or path.name}'"))
        else:
            made.jobs.append(Job(path, output / path.relative_to(folder)))


def _check_unique(jobs: Sequence[Job]) -> None:
    seen: dict[Path, Path] = {}
    for job in jobs:
        if job.target in seen:
            raise AudioError(
                f"{job.source}: would be written to {job.target}, and so would {seen[job.target]}; "
                "enhance them into folders of their own"
            )
        seen[job.target] = job.source
