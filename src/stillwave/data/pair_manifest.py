"""A noisy recording and its clean reference, and manifests of them: one line of JSON a pair.

{"id": "scene_7", "noisy": "data/scene_7_A.wav", "also": ["data/scene_7_B.wav"], "clean": "labels/scene_7.wav",
 "channels": 8}
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable
from functools import partial
from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field

from stillwave.data.manifest import ManifestError, read_entries, relative, resolved
from stillwave.files import write_text
from stillwave.schema import Count, Frozen


class Pair(Frozen):
    """A noisy recording, its clean reference and their properties."""

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
    """Write pairs atomically; paths of files below the manifest's folder are relative to it."""
    path = Path(path)
    copies = (_with_paths(pair, partial(relative, folder=path.absolute().parent)) for pair in pairs)
    lines = (
        json.dumps(copy.model_dump(mode="json", exclude_defaults=True), ensure_ascii=False) for copy in copies
    )
    write_text(path, "".join(line + "\n" for line in lines))


def read_pair_manifest(path: Path | str, *, must_exist: bool = True) -> list[Pair]:
    """Return the pairs of a manifest, in its order, with absolute paths.

    Raises ManifestError, which names file, line and key, for invalid lines, an empty manifest, and (with `must_exist`)
    for missing files.
    """
    path = Path(path)
    absolute = partial(resolved, folder=path.absolute().parent)
    pairs = [_with_paths(pair, absolute) for pair in read_entries(path, Pair)]
    absent = [file for pair in pairs for file in (pair.noisy, *pair.also, pair.clean) if not file.is_file()]
    if absent and must_exist:
        more = f" and {len(absent) - 1} more files are" if absent[1:] else " is"
        raise ManifestError(f"{path}: {absent[0]}{more} missing; scan the folder again")
    return pairs


def _with_paths(pair: Pair, change: Callable[[Path], Path]) -> Pair:
    paths = {"noisy": change(pair.noisy), "clean": change(pair.clean), "also": tuple(map(change, pair.also))}
    return pair.model_copy(update=paths)
