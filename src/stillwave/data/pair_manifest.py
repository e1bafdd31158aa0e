"""A noisy recording and its clean reference, and manifests of them: one line of JSON a pair.

{"id": "scene_7", "noisy": "data/scene_7_A.wav", "also": ["data/scene_7_B.wav"], "clean": "labels/scene_7.wav",
 "channels": 8}
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterable
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import Field, ValidationError

from stillwave.data.manifest import ManifestError
from stillwave.errors import nearest
from stillwave.files import write_text
from stillwave.schema import Count, Frozen


class Pair(Frozen):
    """A noisy recording, its clean reference, and what is known of them."""

    id: str
    noisy: Path
    clean: Path
    also: tuple[Path, ...] = ()
    """Further files of the noisy recording, whose channels follow: other microphones."""
    channels: Count = 1
    """Of all noisy files together."""
    convention: Literal["acn_sn3d", "fuma"] = "acn_sn3d"
    """Of the channels, where they are ambisonic."""
    speaker: str = ""
    snr_db: float | None = None
    noise: str = ""
    rir: str = ""
    seconds: Annotated[float, Field(ge=0)] | None = None
    text: str = ""


def write_pair_manifest(path: Path | str, pairs: Iterable[Pair]) -> None:
    """Write pairs, atomically, with paths relative to the manifest where the files lie below it."""
    path = Path(path)
    folder = path.absolute().parent
    write_text(path, "".join(_line(pair, folder) + "\n" for pair in pairs))


def read_pair_manifest(path: Path | str, *, must_exist: bool = True) -> list[Pair]:
    """The pairs of a manifest, in its order, with absolute paths.

    Raises ManifestError that names file, line and key for what is not a pair, and (unless `must_exist` is False) for
    files that are not there.
    """
    path = Path(path)
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise ManifestError(f"{path}: cannot be read as a manifest of pairs: {error}") from None
    folder = path.absolute().parent
    pairs = [_parse(line, f"{path}, line {i}", folder) for i, line in enumerate(lines, 1) if line.strip()]
    if not pairs:
        raise ManifestError(f"{path}: holds no pairs")
    absent = [file for pair in pairs for file in (pair.noisy, *pair.also, pair.clean) if not file.is_file()]
    if absent and must_exist:
        more = f" and {len(absent) - 1} more files" if absent[1:] else ""
        raise ManifestError(f"{path}: {absent[0]}{more} not there; scan again")
    return pairs


def _line(pair: Pair, folder: Path) -> str:
    def shown(file: str) -> str:
        whole = Path(file).absolute()
        return whole.relative_to(folder).as_posix() if whole.is_relative_to(folder) else str(whole)

    fields = pair.model_dump(mode="json", exclude_defaults=True)
    fields = {**fields, "noisy": shown(fields["noisy"]), "clean": shown(fields["clean"])}
    if pair.also:
        fields["also"] = [shown(file) for file in fields["also"]]
    return json.dumps(fields, ensure_ascii=False)


def _parse(line: str, where: str, folder: Path) -> Pair:
    try:
        pair = Pair.model_validate_json(line)
    except ValidationError as error:
        raise ManifestError(f"{where}: {_explain(error)}") from None

    def placed(file: Path) -> Path:
        return Path(os.path.normpath(folder / file))

    update: dict[str, Any] = {"noisy": placed(pair.noisy), "clean": placed(pair.clean)}
    return pair.model_copy(update={**update, "also": tuple(map(placed, pair.also))})


def _explain(error: ValidationError) -> str:
    first = error.errors()[0]
    key = ".".join(map(str, first["loc"]))
    if first["type"] == "json_invalid" or not key:
        return "is not a JSON object; a manifest holds one pair a line"
    if first["type"] == "missing":
        return f"key '{key}' is missing; a pair has an id, a noisy and a clean file"
    if first["type"] == "extra_forbidden":
        return f"unknown key '{key}'; {nearest(key, Pair.model_fields)}"
    return f"key '{key}': {first['msg'][0].lower()}{first['msg'][1:]}, got {first['input']!r}"
