"""Scan a folder, or a CSV file that lists recordings, for a manifest; skipped files are listed with a reason."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, NamedTuple

from stillwave.audio import FORMATS, LOUDEST, MEDIA, Reader, open_reader
from stillwave.console import in_threads, note
from stillwave.data.annotations import Annotations, find_annotations, read_annotations
from stillwave.data.manifest import Kind, ManifestError, Recording, check_kind, read_manifest
from stillwave.errors import AudioError, fault_text
from stillwave.files import is_unicode, walk

SUFFIXES = frozenset((*FORMATS, *MEDIA, ".aifc", ".au", ".snd", ".sph", ".nist"))
"""Suffixes of the files that are opened."""

SILENT = 1e-4
"""Peak below which a recording is silent (−80 dBFS)."""

MIN_SECONDS = 0.1

Describe = Callable[[Path], "dict[str, str] | str"]
"""A path relative to the scanned folder → fields of its `Recording`, or the reason to skip it."""


class Skipped(NamedTuple):
    """A skipped file: `reason` is one of a few, `detail` the measured value or message."""

    path: Path
    reason: str
    detail: str = ""


class Scan(NamedTuple):
    """The result of a scan, sorted by path."""

    recordings: list[Recording]
    skipped: list[Skipped]

    def reasons(self) -> dict[str, int]:
        """Return the number of skipped files by reason."""
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
    """Scan the files of a folder and its sub-folders, or those that a CSV file lists, in parallel.

    Args:
        source: The folder or CSV file.
        describe: Returns the fields of a recording from its path (see `corpora`); those of a CSV file take precedence.
        columns: Columns of a CSV file by field (`annotations.FIELDS`), as in `{"source": "original"}`.
        min_seconds: Skip shorter recordings.
        decode: Read every sample, which finds silence, NaN and truncated files. Without it, only files whose header
            does not state their length are decoded.
        jobs: Number of threads.

    Raises:
        ManifestError: `source` does not exist or has no usable recording.

    """
    source = Path(source)
    files, notes, absent = _files(source, columns)
    folder = source if source.is_dir() else source.parent
    describe = describe or (lambda _: {})

    def look(path: Path) -> Recording | Skipped:
        return _look(path, Path(os.path.relpath(path, folder)), notes, describe, min_seconds, decode)

    seen = in_threads(look, files, f"scan {source.name}", jobs)
    recordings = [item for item in seen if isinstance(item, Recording)]
    result = Scan(recordings, absent + [item for item in seen if isinstance(item, Skipped)])
    if not recordings:
        raise ManifestError(f"{source}: contains no usable recordings ({_reasons(result)})")
    return result


def load(
    source: Path | str,
    describe: Describe | None = None,
    *,
    kind: Kind | None = None,
    must_exist: bool = True,
) -> list[Recording]:
    """Return the recordings of a manifest, or of a folder or CSV file, which is scanned.

    The first sub-folder is the speaker unless `describe` returns another. Skipped files are counted on stderr. Raises
    ManifestError, also for a manifest of another kind than `kind`, or (with `must_exist`) of missing recordings.
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
        note(f"{source}: {len(found.recordings)} recordings; skipped: {_reasons(found)}")
    return found.recordings


def _reasons(found: Scan) -> str:
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
    """Return the files that a manifest can name, each once although links may lead to it, and the skipped ones."""
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
    except Exception as error:  # decoders raise exceptions of any type
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
    """Decode the rest of a recording; return its peak and length."""
    peak = 0.0
    for block in reader.blocks(2**17):
        peak = max(peak, float(block.max()), -float(block.min()))
    return peak, reader.position


def classify(message: str) -> str:
    """Return the reason to skip a file from the message of an `AudioError`."""
    if "cut short" in message:
        return "cut short"
    if "need ffmpeg" in message:
        return "needs ffmpeg"
    if "NaN" in message:
        return "NaN or infinite"
    if "is empty" in message or "no samples" in message:
        return "empty"
    return "unreadable"
