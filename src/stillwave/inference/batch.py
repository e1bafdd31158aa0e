"""Which file becomes which: files to a file or a folder, folders to a folder of the same structure."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from stillwave.audio import FORMATS
from stillwave.audio.ffmpeg import MEDIA, MEDIA_FORMATS, is_media, target_name, target_suffix
from stillwave.audio.ffmpeg import found as ffmpeg_is_there
from stillwave.errors import AudioError
from stillwave.files import walk


@dataclass(frozen=True)
class FileJob:
    """One recording and where its estimate goes."""

    source: Path
    target: Path


@dataclass
class FileBatch:
    """What is to be done, and what is not: (path, reason)."""

    jobs: list[FileJob] = field(default_factory=list)
    skipped: list[tuple[Path, str]] = field(default_factory=list)


BESIDE = "-enhanced"
"""Behind the name of an input: the name of what is made of it when no output is given."""


def plan(inputs: Sequence[Path], output: Path | None = None, *, skip_existing: bool = False) -> FileBatch:
    """Pair every input with its target, in a fixed order.

    Without an output, `talk.mp3` becomes `talk-enhanced.mp3` and the folder `day` becomes `day-enhanced`, each beside
    its input. One file and an output with the suffix of an audio format: a file. Everything else goes into `output` as
    a folder: files by their names, folders by the paths inside them (`files.walk`, so linked folders too), where only
    the suffixes of `audio.FORMATS` are taken, and with ffmpeg those of `audio.MEDIA`. What cannot be written in its own
    format (amr) becomes wav. The last folder of `output` may be missing; those above it may not.

    What is named `…-enhanced` already is skipped, unless it is the only input and an output is given. With
    `skip_existing` so are recordings whose target exists.

    Raises `AudioError` for a missing input, a suffix that is no format, one file name for several recordings, an output
    whose parent folder is missing, and two inputs with one target.
    """
    for path in inputs:
        if not path.exists():
            raise AudioError(f"{path}: there is no such file or folder")
    made = FileBatch()
    for path in inputs:
        if _is_enhanced(path) and not (output and len(inputs) == 1):
            made.skipped.append((path, _ENHANCED))
        elif output is None:
            _pair(made, path, _beside(path))
        else:
            _check_output(inputs, output)
            single = len(inputs) == 1 and _names_file(output) and not output.is_dir()
            _pair(
                made,
                path,
                output if single or path.is_dir() else output / target_name(path).name,
            )
    _check_unique(made.jobs)
    if skip_existing:
        made.skipped += [
            (job.source, "its output exists already") for job in made.jobs if _exists(job.target)
        ]
        made.jobs = [job for job in made.jobs if not _exists(job.target)]
    return made


_ENHANCED = f"is named '{BESIDE}' already; to enhance it again, give it alone and an output"


def _is_enhanced(path: Path) -> bool:
    return (path.name if path.is_dir() else path.stem).endswith(BESIDE)


def _exists(target: Path) -> bool:
    return os.path.lexists(target)


def _names_file(path: Path) -> bool:
    return path.suffix.lower() in FORMATS or is_media(path)


def _beside(path: Path) -> Path:
    whole = path if path.name not in ("", "..") else path.resolve()  # "." and ".." have no name to add to
    stem, suffix = (whole.name, "") if path.is_dir() else (whole.stem, target_suffix(whole))
    return whole.with_name(stem + BESIDE + suffix)


def _check_output(inputs: Sequence[Path], output: Path) -> None:
    """Refuse an output that cannot be, before anything is done."""
    single = len(inputs) == 1 and inputs[0].is_file()
    if output.exists():
        if not output.is_dir() and not (single and _names_file(output)):
            raise AudioError(f"{output}: this is a file; give a folder for more than one recording")
        return
    if _names_file(output) and not single:
        what = "a folder" if len(inputs) == 1 else f"{len(inputs)} inputs"
        raise AudioError(f"{output}: names one file for {what}; give the name of a folder")
    if single and output.suffix and not _names_file(output):
        known = ", ".join(sorted((*FORMATS, *MEDIA_FORMATS)))
        raise AudioError(
            f"{output}: '{output.suffix}' is no audio format that can be written; known: {known}; "
            "for a folder give a name without a suffix, or make it first"
        )
    folder = output.parent if _names_file(output) else output
    if not folder.exists() and not folder.parent.is_dir():
        raise AudioError(f"{output}: there is no folder {folder.parent}; make it first, or correct the name")


def _pair(made: FileBatch, path: Path, target: Path) -> None:
    if path.is_dir():
        _add_folder(made, path, target)
    else:
        made.jobs.append(FileJob(path, target))


def _add_folder(made: FileBatch, folder: Path, output: Path) -> None:
    earlier = output.resolve()
    found = walk(folder)
    made.skipped += found.skipped
    for path in found.files:
        relative = path.relative_to(folder)
        if path.resolve().is_relative_to(earlier) and earlier != folder.resolve():
            made.skipped.append((path, "lies in the output folder"))
        elif path.suffix.lower() not in FORMATS and path.suffix.lower() not in MEDIA:
            made.skipped.append((path, f"not an audio format: '{path.suffix or path.name}'"))
        elif path.stem.endswith(BESIDE) or any(part.endswith(BESIDE) for part in relative.parent.parts):
            made.skipped.append((path, _ENHANCED))
        elif path.suffix.lower() in MEDIA and not ffmpeg_is_there():
            made.skipped.append((path, f"'{path.suffix}' needs ffmpeg, which is not on the PATH"))
        else:
            made.jobs.append(FileJob(path, output / target_name(relative)))


def _check_unique(jobs: Sequence[FileJob]) -> None:
    seen: dict[Path, Path] = {}
    for job in jobs:
        if job.target in seen and seen[job.target].resolve() == job.source.resolve():
            raise AudioError(f"{job.source}: is among the inputs twice; give it once")
        if job.target in seen:
            raise AudioError(
                f"{job.source}: would be written to {job.target}, and so would {seen[job.target]}; "
                "enhance them into folders of their own"
            )
        seen[job.target] = job.source
