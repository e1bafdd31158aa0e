"""Manifests: one line of JSON per recording; paths of files below the manifest's folder are relative to it.

{"path": "speech/p1/001.wav", "sample_rate": 16000, "channels": 1, "seconds": 3.2, "speaker": "p1"}
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field, ValidationError

from stillwave.errors import StillwaveError, nearest
from stillwave.files import write_text
from stillwave.schema import Count, Frozen, Positive

Kind = Literal["speech", "noise", "rooms"]
KINDS: tuple[Kind, ...] = ("speech", "noise", "rooms")


class ManifestError(StillwaveError):
    """A manifest or folder of recordings that cannot be used."""


class Recording(Frozen):
    """A file of speech, noise or a room impulse response. Unknown text fields are empty."""

    path: Path
    """Absolute; in the manifest relative to its folder or absolute."""
    sample_rate: Annotated[int, Field(gt=0)]
    """Of the file, in Hz."""
    channels: Count
    seconds: Positive
    kind: Kind | Literal[""] = ""
    """Empty if the manifest does not state it."""
    speaker: str = ""
    text: str = ""
    """Transcript."""
    licence: str = ""
    label: str = ""
    """Class, such as that of a noise."""
    source: str = ""
    """The longer recording that this one was cut from; a split keeps recordings of one source together."""


def read_manifest(path: Path | str, *, must_exist: bool = True) -> list[Recording]:
    """Return the recordings of a manifest, in its order, with absolute paths.

    Raises ManifestError, which names file, line and key, for invalid lines, an empty manifest, and (with `must_exist`)
    for missing recordings.
    """
    path = Path(path)
    try:
        lines = path.read_text(encoding="utf-8-sig").splitlines()
    except OSError as error:
        raise ManifestError(f"{path}: cannot be read: {error.strerror or error}") from None
    except UnicodeDecodeError:
        raise ManifestError(f"{path}: is not UTF-8 text; a manifest has one JSON object per line") from None
    folder = path.absolute().parent
    recordings = [
        _parse(line, f"{path}, line {i}", folder) for i, line in enumerate(lines, 1) if line.strip()
    ]
    if not recordings:
        raise ManifestError(f"{path}: holds no recordings")
    if must_exist:
        _check_there(recordings, str(path))
    return recordings


def write_manifest(path: Path | str, recordings: Iterable[Recording], kind: Kind | None = None) -> None:
    """Write recordings atomically, with `kind` set if one is given; empty fields are left out."""
    path = Path(path)
    if kind is not None:
        recordings = (recording.model_copy(update={"kind": kind}) for recording in recordings)
    write_text(path, "".join(line + "\n" for line in _lines(recordings, path.absolute().parent)))


def missing(recordings: Iterable[Recording]) -> list[Path]:
    """Return the files that do not exist."""
    return [recording.path for recording in recordings if not recording.path.is_file()]


def hours(recordings: Iterable[Recording]) -> float:
    """Return the total duration in hours."""
    return sum(recording.seconds for recording in recordings) / 3600


def _parse(line: str, where: str, folder: Path) -> Recording:
    try:
        recording = Recording.model_validate_json(line)
    except ValidationError as error:
        raise ManifestError(f"{where}: {_explain(error)}") from None
    return recording.model_copy(update={"path": Path(os.path.normpath(folder / recording.path))})


def _explain(error: ValidationError) -> str:
    first = error.errors()[0]
    if first["type"] == "json_invalid":
        return "is not JSON; a manifest has one JSON object per line"
    key = ".".join(str(part) for part in first["loc"])
    if first["type"] == "extra_forbidden":
        return f"unknown key '{key}'; {nearest(key, Recording.model_fields)}"
    if first["type"] == "missing":
        return f"key '{key}' is missing"
    if not key:
        return "is not a JSON object"
    return f"key '{key}': {first['msg'][0].lower()}{first['msg'][1:]}, got {first['input']!r}"


def _check_there(recordings: list[Recording], name: str) -> None:
    absent = missing(recordings)
    if absent:
        others = f" and {len(absent) - 1} more" if len(absent) > 1 else ""
        raise ManifestError(
            f"{name}: {absent[0]}{others} of {len(recordings)} recordings not there; scan again"
        )


def _lines(recordings: Iterable[Recording], folder: Path) -> Iterator[str]:
    for recording in recordings:
        path = recording.path.absolute()
        inside = path.is_relative_to(folder)
        shown = Path(path.relative_to(folder).as_posix()) if inside else path
        copy = recording.model_copy(update={"path": shown})
        yield copy.model_dump_json(exclude_defaults=True)
