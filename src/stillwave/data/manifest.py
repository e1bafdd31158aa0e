"""Manifests: one line of JSON per recording; paths of files below the manifest's folder are relative to it.

{"path": "speech/p1/001.wav", "sample_rate": 16000, "channels": 1, "seconds": 3.2, "speaker": "p1"}
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Annotated, Literal, TypeVar

from pydantic import Field, ValidationError

from stillwave.errors import StillwaveError, nearest
from stillwave.files import write_text
from stillwave.schema import Count, Frozen, Positive

Kind = Literal["speech", "noise", "rooms"]
KINDS: tuple[Kind, ...] = ("speech", "noise", "rooms")


Entry = TypeVar("Entry", bound=Frozen)


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
    bandwidth_hz: Positive | None = None
    """Frequency above which speech has no content although its rate would allow it; null if it is not known."""
    source: str = ""
    """The longer recording that this one was cut from; a split keeps recordings of one source together."""


def read_manifest(path: Path | str, *, must_exist: bool = True) -> list[Recording]:
    """Return the recordings of a manifest, in its order, with absolute paths.

    Raises ManifestError, which names file, line and key, for invalid lines, an empty manifest, and (with `must_exist`)
    for missing recordings.
    """
    path = Path(path)
    folder = path.absolute().parent
    recordings = [
        r.model_copy(update={"path": resolved(r.path, folder)}) for r in read_entries(path, Recording)
    ]
    absent = missing(recordings) if must_exist else []
    if absent:
        raise ManifestError(
            f"{path}: {len(absent)} of {len(recordings)} recordings are missing, the first is {absent[0]}; "
            "scan the folder again"
        )
    return recordings


def read_entries(path: Path, model: type[Entry]) -> list[Entry]:
    """Return the entries of a manifest, a JSON object in each line, as `model`.

    Raises ManifestError, which names file, line and key.
    """
    try:
        lines = path.read_text(encoding="utf-8-sig").splitlines()
    except OSError as error:
        raise ManifestError(f"{path}: cannot be read: {error.strerror or error}") from None
    except UnicodeDecodeError:
        raise ManifestError(f"{path}: is not UTF-8 text; a manifest has one JSON object per line") from None
    entries = []
    for number, line in enumerate(lines, 1):
        try:
            if line.strip():
                entries.append(model.model_validate_json(line))
        except ValidationError as error:
            raise ManifestError(f"{path}, line {number}: {_explain(error, model)}") from None
    if not entries:
        raise ManifestError(f"{path}: has no {model.__name__.lower()}s; scan a folder to write the manifest")
    return entries


def resolved(path: Path, folder: Path) -> Path:
    """Return the absolute path of a file that a manifest in `folder` names."""
    return Path(os.path.normpath(folder / path))


def relative(path: Path, folder: Path) -> Path:
    """Return the path of a file for a manifest in `folder`: relative if it lies below, otherwise absolute."""
    path = path.absolute()
    return Path(path.relative_to(folder).as_posix()) if path.is_relative_to(folder) else path


def write_manifest(path: Path | str, recordings: Iterable[Recording], kind: Kind | None = None) -> None:
    """Write recordings atomically, with `kind` set if one is given; empty fields are left out."""
    path = Path(path)
    if kind is not None:
        recordings = (recording.model_copy(update={"kind": kind}) for recording in recordings)
    folder = path.absolute().parent
    copies = (r.model_copy(update={"path": relative(r.path, folder)}) for r in recordings)
    write_text(path, "".join(copy.model_dump_json(exclude_defaults=True) + "\n" for copy in copies))


def missing(recordings: Iterable[Recording]) -> list[Path]:
    """Return the files that do not exist."""
    return [recording.path for recording in recordings if not recording.path.is_file()]


def hours(recordings: Iterable[Recording]) -> float:
    """Return the total duration in hours."""
    return sum(recording.seconds for recording in recordings) / 3600


def _explain(error: ValidationError, model: type[Frozen]) -> str:
    first = error.errors()[0]
    if first["type"] == "json_invalid":
        return "is not JSON; a manifest has one JSON object per line"
    key = ".".join(str(part) for part in first["loc"])
    if first["type"] == "extra_forbidden":
        return f"unknown key '{key}'; {nearest(key, model.model_fields)}"
    if first["type"] == "missing":
        return f"key '{key}' is missing"
    if not key:
        return "is not a JSON object"
    return f"key '{key}': {first['msg'][0].lower()}{first['msg'][1:]}, got {first['input']!r}"


_WORDS: dict[Kind, str] = {
    "speech": "speech clean speaker speakers talker talkers voice voices utterance utterances",
    "noise": "noise noises esc50 background backgrounds",
    "rooms": "room rooms rir rirs impulse impulses brir brirs",
}


def guess(folder: Path | str, output: Path | str = "") -> Kind | None:
    """Guess the kind from the name of a folder, the folders above it, or the manifest to write.

    The name nearest to the recordings decides. None if no name matches, one matches two kinds, or folder and manifest
    contradict each other.

    Examples:
        >>> guess("my/noise"), guess("musan/noise/free-sound"), guess("recordings"), guess("clean_and_noise")
        ('noise', 'noise', None, None)
        >>> guess("recordings", "rooms.jsonl"), guess("my/speech", "noise.jsonl")
        ('rooms', None)

    """
    place = Path(folder)
    parts = place.parts or (place.absolute().name,)
    inside = next((found for part in reversed(parts) if (found := _kinds_in(part))), set())
    outside = _kinds_in(Path(output).stem)
    found = inside if not outside else outside if not inside else inside & outside
    return next(iter(found)) if len(found) == 1 else None


def check_kind(recordings: Sequence[Recording], kind: Kind, name: str) -> None:
    """Raise ManifestError for recordings of another kind; `name` is that of the manifest.

    A manifest without kinds passes, unless noise or rooms have a speaker or a text, as a scan for speech writes.
    """
    for number, recording in enumerate(recordings, 1):
        other = recording.kind
        if not other and kind != "speech" and (recording.speaker or recording.text):
            other = "speech"
        if other and other != kind:
            raise ManifestError(
                f"{name}: lists {other} (recording {number} of {len(recordings)}, {recording.path.name}), "
                f"expected {kind}; give a manifest of {kind}, or scan the folder again with --kind {kind}"
            )


def _kinds_in(name: str) -> set[Kind]:
    words = set(re.split(r"[^a-z0-9]+", name.lower()))
    return {kind for kind, known in _WORDS.items() if words & set(known.split())}
