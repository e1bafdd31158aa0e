"""Find a wrong name in a recipe before the threads of a run are measured and recordings are read."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from stillwave.data.manifest import KINDS, ManifestError
from stillwave.schema import DataConfig, Pairs, Recipe, Sources
from stillwave.training.teachers import teacher_sha256


def check(recipe: Recipe, *, data: bool = True) -> None:
    """Raise StillwaveError if the teacher of a recipe cannot be opened or, with `data`, a source does not exist."""
    teacher_sha256(recipe)
    for path in places(recipe.data) if data else ():
        if not Path(path).exists():
            raise ManifestError(f"{path}: there is no such manifest or folder")


def places(data: DataConfig) -> Iterator[str]:
    """Yield the manifests and folders that a `data` section names."""
    for side in (data.train, data.development):
        if isinstance(side, str):
            yield side
        elif isinstance(side, Pairs):
            yield side.pairs
        elif isinstance(side, Sources):
            yield from (one.path for kind in KINDS for one in side.of(kind))
