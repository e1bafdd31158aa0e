"""From a folder, or a CSV file that lists recordings, to a manifest; what is left out is listed with a
reason.
"""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, NamedTuple

from stillwave.audio import FORMATS, LOUDEST, MEDIA, Reader, open_reader
from stillwave.console import err, track
from stillwave.data.annotations import Annotations, find_annotations, read_annotations
from stillwave.data.kinds import check_kind
from stillwave.data.manifest import Kind, ManifestError, Recording, read_manifest
from stillwave.errors import AudioError, fault_text
from stillwave.files import is_unicode, walk

SUFFIXES = frozenset((*FORMATS, *MEDIA, ".aifc", ".au", ".snd", ".sph", ".nist"))
"""File names that end otherwise are not opened."""

SILENT = 1e-4
"""A recording whose peak stays below this (−80 dBFS) is silent."""

MIN_SECONDS = 0.1

Describe = Callable[[Path], "dict[str, str] | str"]
"""A path relative to the scanned folder → fields of its `Recording`, or the reason to leave it out."""


class Skipped(NamedTuple):
    """A file that was left out. `reason` is one of a few; `detail` is what was found."""

    path: Path
    reason: str
    detail: str = ""


class Scan(NamedTuple):
    """What a scan found, sorted by path."""

    recordings: list[Recording]
    skipped: list[Skipped]

    def reasons(self) -> dict[str, int]:
        """How many files were left out for which reason."""
        return dict(Counter(item.reason for item in self.skipped).most_common())


def scan(
    source: Path | str,
    describe: Describe | None = None,
    *,
    columns: Mapping[str, str] | None = None,
    min_seconds: float = MIN_SECONDS,
    decode: bool = True,
    jobs: int | None = None,
) -> Scan:
    """Look at every file of a folder and its sub-folders, or of the rows of a CSV file, in parallel.

    `describe` (see `corpora`) gives what a path tells; a CSV file's fields go before it. `columns` names a CSV
    file's columns of some fields (`annotations.FIELDS`), as in `{"source": "original"}`. With `decode` every
    sample is read, which finds recordings that are silent, hold NaN or end early; without, only those
    whose header does not tell their length.
    Raises ManifestError when `source` is not there or holds no recording that can be used.
    """
    source = Path(source)
    files, notes, absent = _files(source, columns)
    folder = source if source.is_dir() else source.parent
    describe = describe or (lambda _: {})

    def look(path: Path) -> Recording | Skipped:
        return _look(path, Path(os.path.relpath(path, folder)), notes, describe, min_seconds, decode)

    with ThreadPoolExecutor(jobs or min(8, os.cpu_count() or 1)) as pool:
        seen = list(track(pool.map(look, files), f"scan {source.name}", total=len(files)))
    recordings = [item for item in seen if isinstance(item, Recording)]
    result = Scan(recordings, absent + [item for item in seen if isinstance(item, Skipped)])
    if not recordings:
        raise ManifestError(f"{source}: holds no recordings that can be used ({_tell(result)})")
    return result


def load(
    source: Path | str,
    describe: Describe | None = None,
    *,
    kind: Kind | None = None,
    must_exist: bool = True,
) -> list[Recording]:
    """The recordings of a manifest, or of a folder or CSV file, which is scanned on the fly.

    The first sub-folder is the speaker unless `describe` says otherwise. What a scan leaves out is counted on
    the terminal. Raises ManifestError, also for a manifest of something else than `kind`, or (unless `must_exist` is
    False) of recordings that are not there.
    """
    from stillwave.data.corpora import folders  # which themselves scan

    source = Path(source)
    if not source.exists():
        raise ManifestError(f"{source}: there is no such manifest or folder")
    if not source.is_dir() and source.suffix.lower() != ".csv":
        recordings = read_manifest(source, must_exist=must_exist)
        if kind is not None:
            check_kind(recordings, kind, str(source))
        return recordings
    found = scan(source, describe or folders.describe)
    if found.skipped:
        err.print(
            f"{source}: {len(found.recordings)} recordings; left out: {_tell(found)}",
            highlight=False,
            markup=False,
        )
    return found.recordings


def _tell(found: Scan) -> str:
    return ", ".join(f"{count} {reason}" for reason, count in found.reasons().items()) or "it is empty"


def _files(source: Path, columns: Mapping[str, str] | None) -> tuple[list[Path], Annotations, list[Skipped]]:
    if source.is_dir():
        if columns:
            raise ManifestError(
                f"{source}: is a folder; columns are those of a CSV file: give the file instead"
            )
        notes = find_annotations(source)
        found = walk(source.absolute())
        files, left_out = _usable(found.files, source)
        left_out += [Skipped(path, reason) for path, reason in found.skipped]
    elif source.suffix.lower() == ".csv" and source.is_file():
        notes = read_annotations(source, columns)
        files, left_out = _usable(sorted(path for path in notes if path.is_file()), source.parent)
    elif source.exists():
        raise ManifestError(f"{source}: is neither a folder nor a CSV file that lists recordings")
    else:
        raise ManifestError(f"{source}: there is no such folder")
    seen = {*files, *(item.path for item in left_out)}
    left_out += [Skipped(path, "listed but not there") for path in sorted(notes) if path not in seen]
    return files, notes, left_out


def _usable(files: list[Path], folder: Path) -> tuple[list[Path], list[Skipped]]:
    """Files that a manifest can name, each once: training and test material must not share one through a link."""
    root = os.path.realpath(folder)
    by_place: dict[str, Path] = {}
    kept: list[Path] = []
    left_out: list[Skipped] = []
    linked: list[tuple[Path, str]] = []
    for path in files:
        real = os.path.realpath(path)
        if not is_unicode(path):
            left_out.append(Skipped(path, "name is not UTF-8", "a manifest is UTF-8 text; rename the file"))
        elif real == os.path.join(root, os.path.relpath(path, folder)):  # noqa: PTH118 # names, not paths
            by_place[real] = path
            kept.append(path)
        else:
            linked.append((path, real))
    for path, real in linked:
        if real in by_place:
            left_out.append(Skipped(path, "link to a file that is listed", str(by_place[real])))
        else:
            by_place[real] = path
            kept.append(path)
    return sorted(kept), left_out


def _look(
    path: Path, relative: Path, notes: Annotations, describe: Describe, min_seconds: float, decode: bool
) -> Recording | Skipped:
    if path.suffix.lower() not in SUFFIXES:
        return Skipped(path, "not audio")
    described = describe(relative)
    if isinstance(described, str):
        return Skipped(path, described)
    try:
        with open_reader(path, headers_only=not decode) as reader:
            info = reader.info
            peak, frames = _peak_and_frames(reader) if decode or not info.exact else (1.0, info.frames)
            seconds = frames / info.sample_rate
            if seconds < min_seconds:
                return Skipped(path, "too short", f"{seconds:.3f} s")
            if decode and peak < SILENT:
                return Skipped(path, "silent")
            if decode and peak > LOUDEST:
                return Skipped(path, "beyond any audio", f"values up to {peak:.3g}")
    except AudioError as error:
        return Skipped(path, classify(str(error)), str(error).removeprefix(f"{path}: "))
    except Exception as error:  # decoders fail in ways of their own; one file's fault is that file's
        return Skipped(path, "unreadable", fault_text(error))
    fields: dict[str, Any] = {**described, **{k: v for k, v in notes.get(path, {}).items() if v}}
    return Recording(
        path=path,
        sample_rate=info.sample_rate,
        channels=info.channels,
        seconds=seconds,
        **fields,
    )


def _peak_and_frames(reader: Reader) -> tuple[float, int]:
    """Of what decoding gives, whatever the header states."""
    peak = 0.0
    for block in reader.blocks(2**17):
        peak = max(peak, float(block.max()), -float(block.min()))
    return peak, reader.position


def classify(message: str) -> str:
    """The reason for leaving out a file that `AudioError` says this of."""
    if "cut short" in message:
        return "cut short"
    if "need ffmpeg" in message:
        return "needs ffmpeg"
    if "NaN" in message:
        return "NaN or infinite"
    if "is empty" in message or "no samples" in message:
        return "empty"
    return "unreadable"
