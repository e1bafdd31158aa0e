"""The run folder: whose run it is, its environment, and the lock that keeps a second process out."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime, timezone
from pathlib import Path

from stillwave import provenance
from stillwave import recipe as recipes
from stillwave.errors import RecipeError, StillwaveError
from stillwave.files import write_json, write_text
from stillwave.schema import Recipe

RECIPE, ENVIRONMENT, LOG, CHECKPOINTS, BAD = (
    "recipe.yaml", "environment.json", "log.jsonl", "checkpoints", "bad_batches",
)  # fmt: skip


@contextmanager
def opened(folder: Path, recipe: Recipe, *, resume: bool) -> Iterator[None]:
    """Make or reopen a run folder, for this process alone.

    Raises RecipeError for the folder of another recipe (naming the keys) or of something else.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except (FileExistsError, NotADirectoryError):
        raise StillwaveError(f"{folder}: is a file; a run needs a folder") from None
    with _lock(folder):
        _claim(folder, recipe, resume)
        _clear_leftovers(folder)
        _note_session(folder)
        yield


def _claim(folder: Path, recipe: Recipe, resume: bool) -> None:
    file = folder / RECIPE
    if not file.exists():
        others = sorted(p.name for p in folder.iterdir() if not p.name.startswith("."))
        if others:
            raise RecipeError(
                f"{folder}: is not a run folder (it holds '{others[0]}'); give a new or empty one"
            )
        write_text(file, recipes.dump(recipe))
        return
    if not resume:
        raise RecipeError(f"{folder}: already holds a run; resume it or give another folder")
    keys = recipes.differences(recipes.load(file), recipe)
    if keys:
        more = f" (and {len(keys) - 1} more)" if len(keys) > 1 else ""
        raise RecipeError(
            f"{folder}: is the run of another recipe: {keys[0]} differs{more}; "
            f"give another folder, or the recipe that is in {file}"
        )


def _clear_leftovers(folder: Path) -> None:
    """Remove what a killed process left half written; nothing of it was ever visible under its real name."""
    for pattern in (".*.tmp", ".*.old"):
        for left in (folder / CHECKPOINTS).glob(pattern):
            shutil.rmtree(left, ignore_errors=True)
    for left in folder.glob(".*.tmp.*"):
        left.unlink(missing_ok=True)


def _note_session(folder: Path) -> None:
    """A run may be resumed elsewhere: one entry for each sitting."""
    file = folder / ENVIRONMENT
    try:
        sessions = json.loads(file.read_text(encoding="utf-8"))["sessions"]
    except (OSError, ValueError, KeyError, TypeError):
        sessions = []
    started = datetime.now(timezone.utc).isoformat(timespec="seconds")
    write_json(file, {"sessions": [*sessions, {"started": started, **provenance.environment()}]})


@contextmanager
def _lock(folder: Path) -> Iterator[None]:
    """An advisory lock that the system drops with the process, however that ends.

    Of the process, not of the open file: worker processes, which outlive a killed parent by seconds, do not hold it.
    """
    try:
        import fcntl
    except ImportError:  # Windows: two runs in one folder are then the user's to avoid
        yield
        return
    with (folder / ".lock").open("w") as handle:
        try:
            fcntl.lockf(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            raise StillwaveError(
                f"{folder}: another process is training here; wait or give another folder"
            ) from None
        yield
