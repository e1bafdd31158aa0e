"""Decide which input file becomes which output file."""

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
    """An input file and its output file."""

    source: Path
    target: Path


@dataclass
class FileBatch:
    """Files to process, and skipped files with the reason."""

    jobs: list[FileJob] = field(default_factory=list)
    skipped: list[tuple[Path, str]] = field(default_factory=list)


BESIDE = "-enhanced"
"""Suffix of the name of an output, if none is given."""


def plan(inputs: Sequence[Path], output: Path | None = None, *, skip_existing: bool = False) -> FileBatch:
    """Pair every input file with its target, in a fixed order.

    Without `output`, `talk.mp3` becomes `talk-enhanced.mp3` and the folder `day` becomes `day-enhanced`, next to the
    input. Files in folders are included if their suffix is in `audio.FORMATS`, or with ffmpeg in `audio.MEDIA`.
    Formats that cannot be written (amr) become wav. Inputs named `…-enhanced` are skipped, unless one is the only
    input and `output` is given.

    `output`: a file name for a single file, else a folder, which is created if its parent exists; files keep their
    names, and files in folders their relative paths. Raises AudioError if an input is missing, the output cannot be
    written, or two inputs have the same target.
    """
    for path in inputs:
        if not path.exists():
            raise AudioError(f"{path}: there is no such file or folder")
    batch = FileBatch()
    for path in inputs:
        if _is_enhanced(path) and not (output and len(inputs) == 1):
            batch.skipped.append((path, _ENHANCED))
        elif output is None:
            _pair(batch, path, _beside(path))
        else:
            _check_output(inputs, output)
            single = len(inputs) == 1 and _names_file(output) and not output.is_dir()
            _pair(
                batch,
                path,
                output if single or path.is_dir() else output / target_name(path).name,
            )
    _check_unique(batch.jobs)
    if skip_existing:
        batch.skipped += [
            (job.source, "its output exists already") for job in batch.jobs if _exists(job.target)
        ]
        batch.jobs = [job for job in batch.jobs if not _exists(job.target)]
    return batch


_ENHANCED = f"is named '…{BESIDE}'; to enhance it again, give it alone with an output"


def _is_enhanced(path: Path) -> bool:
    return (path.name if path.is_dir() else path.stem).endswith(BESIDE)


def _exists(target: Path) -> bool:
    return os.path.lexists(target)


def _names_file(path: Path) -> bool:
    return path.suffix.lower() in FORMATS or is_media(path)


def _beside(path: Path) -> Path:
    named = path if path.name not in ("", "..") else path.resolve()  # "." and ".." have no name
    stem, suffix = (named.name, "") if path.is_dir() else (named.stem, target_suffix(named))
    return named.with_name(stem + BESIDE + suffix)


def _check_output(inputs: Sequence[Path], output: Path) -> None:
    """Raise AudioError for an output that cannot be written."""
    single = len(inputs) == 1 and inputs[0].is_file()
    if output.exists():
        if not output.is_dir() and not (single and _names_file(output)):
            raise AudioError(f"{output}: is a file; give a folder for more than one recording")
        return
    if _names_file(output) and not single:
        what = "a folder" if len(inputs) == 1 else f"{len(inputs)} inputs"
        raise AudioError(f"{output}: names one file for {what}; give the name of a folder")
    if single and output.suffix and not _names_file(output):
        known = ", ".join(sorted((*FORMATS, *MEDIA_FORMATS)))
        raise AudioError(
            f"{output}: cannot write '{output.suffix}'; use one of {known}, "
            "or a name without a suffix for a folder"
        )
    folder = output.parent if _names_file(output) else output
    if not folder.exists() and not folder.parent.is_dir():
        raise AudioError(f"{output}: there is no folder {folder.parent}; create it, or correct the name")


def _pair(batch: FileBatch, path: Path, target: Path) -> None:
    if path.is_dir():
        _add_folder(batch, path, target)
    else:
        batch.jobs.append(FileJob(path, target))


def _add_folder(batch: FileBatch, folder: Path, output: Path) -> None:
    target = output.resolve()
    found = walk(folder)
    batch.skipped += found.skipped
    for path in found.files:
        relative = path.relative_to(folder)
        if path.resolve().is_relative_to(target) and target != folder.resolve():
            batch.skipped.append((path, "is in the output folder"))
        elif path.suffix.lower() not in FORMATS and path.suffix.lower() not in MEDIA:
            batch.skipped.append((path, f"not an audio format: '{path.suffix or path.name}'"))
        elif path.stem.endswith(BESIDE) or any(part.endswith(BESIDE) for part in relative.parent.parts):
            batch.skipped.append((path, _ENHANCED))
        elif path.suffix.lower() in MEDIA and not ffmpeg_is_there():
            batch.skipped.append((path, f"'{path.suffix}' needs ffmpeg, which is not on the PATH"))
        else:
            batch.jobs.append(FileJob(path, output / target_name(relative)))


def _check_unique(jobs: Sequence[FileJob]) -> None:
    seen: dict[Path, Path] = {}
    for job in jobs:
        if job.target in seen and seen[job.target].resolve() == job.source.resolve():
            raise AudioError(f"{job.source}: is given twice; give it once")
        if job.target in seen:
            raise AudioError(
                f"{job.source} and {seen[job.target]} would both be written to {job.target}; "
                "use separate output folders"
            )
        seen[job.target] = job.source
