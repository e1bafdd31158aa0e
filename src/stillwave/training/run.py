"""The run folder: whose run it is, its environment, and the lock that keeps a second process out."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

from stillwave import checkpoint, provenance
from stillwave import recipe as recipes
from stillwave.console import err
from stillwave.errors import RecipeError, StillwaveError
from stillwave.files import locked, write_json, write_text
from stillwave.schema import Recipe
from stillwave.training.resuming import continued

RECIPE, ENVIRONMENT, LOG, CHECKPOINTS, BAD = (
    "recipe.yaml", "environment.json", "log.jsonl", "checkpoints", "bad_batches",
)  # fmt: skip
DATA = "data.json"
_OURS = (RECIPE, ENVIRONMENT, LOG, DATA, CHECKPOINTS, BAD, "explain", "tensorboard")
"""All that a run writes into its folder."""


@contextmanager
def opened(folder: Path, recipe: Recipe, *, resume: bool, extend: bool = False) -> Iterator[Recipe]:
    """Lock a run folder, new or not, for this process alone; yield the recipe that the run continues with.

    Nothing that the folder holds is changed: `begin` does that, once data and checkpoints have been checked too.
    Raises RecipeError for the folder of another recipe (naming the keys) or of something else, StillwaveError for one
    that another process uses, or that cannot be written.
    """
    with ExitStack() as stack:
        with _writable(folder):
            folder.mkdir(parents=True, exist_ok=True)
            _refuse_foreign(folder)
            stack.enter_context(
                locked(folder, "another process is training here; wait or give another folder")
            )
            recipe = _agreed(folder, recipe, resume=resume, extend=extend)
        yield recipe


def begin(folder: Path, recipe: Recipe, lists: dict[str, Any], threads: int) -> None:
    """Write into an opened folder what the run is from here on: recipe, recordings, and this session.

    Raises StillwaveError where that cannot be written.
    """
    with _writable(folder):
        if not holds_checkpoint(folder):
            _start_over(folder, recipe)
        _clear_leftovers(folder)
        file = folder / RECIPE
        if not file.exists() or recipes.differences(recipes.load(file), recipe):
            write_text(file, recipes.dump(recipe))
        write_json(folder / DATA, lists)
        _note_session(folder, threads)


def rewritten(folder: Path, recipe: Recipe) -> bool:
    """Whether a run's folder had gone: it has its recipe again, so that what was written there can be resumed."""
    if (folder / RECIPE).exists():
        return False
    with _writable(folder):
        write_text(folder / RECIPE, recipes.dump(recipe))
    return True


@contextmanager
def _writable(folder: Path) -> Iterator[None]:
    try:
        yield
    except (FileExistsError, NotADirectoryError):
        what = "is a link to nothing" if folder.is_symlink() and not folder.exists() else "is a file"
        raise StillwaveError(f"{folder}: {what}; a run needs a folder") from None
    except OSError as error:
        raise StillwaveError(
            f"{folder}: cannot be written ({error.strerror or error}); give a run folder that can"
        ) from None


def holds_checkpoint(folder: Path) -> bool:
    """Whether there is anything to resume, or to lose."""
    return any(checkpoint.numbered(folder / CHECKPOINTS, kind) for kind in ("step", "best"))


def _refuse_foreign(folder: Path) -> None:
    if (folder / RECIPE).exists():
        return
    others = sorted(p.name for p in folder.iterdir() if not p.name.startswith("."))
    if others:
        raise RecipeError(f"{folder}: is not a run folder (it holds '{others[0]}'); give a new or empty one")


def _agreed(folder: Path, recipe: Recipe, *, resume: bool, extend: bool) -> Recipe:
    """The recipe to continue with: that given, if the folder's run may have it."""
    if not holds_checkpoint(folder):
        return recipe
    if not resume:
        raise RecipeError(f"{folder}: already holds a run; resume it or give another folder")
    return continued(folder, recipes.load(folder / RECIPE), recipe, extend=extend)


def _start_over(folder: Path, recipe: Recipe) -> None:
    """Remove what a start with another recipe left: without a checkpoint there is nothing to resume or to lose."""
    try:
        same = recipes.dump(recipes.load(folder / RECIPE)) == recipes.dump(recipe)
    except RecipeError:
        same = not (folder / RECIPE).exists()
    if same:
        return
    err.print(
        f"{folder}: an earlier start with another recipe left no checkpoint; the run starts over",
        highlight=False,
        markup=False,
    )
    for name in _OURS:
        place = folder / name
        if place.is_dir():
            shutil.rmtree(place)
        else:
            place.unlink(missing_ok=True)


def _clear_leftovers(folder: Path) -> None:
    """Remove what a killed process left half written; nothing of it was ever visible under its real name."""
    for pattern in (".*.tmp", ".*.old"):
        for left in (folder / CHECKPOINTS).glob(pattern):
            shutil.rmtree(left, ignore_errors=True)
    for left in folder.glob(".*.tmp*"):
        if left.is_file():
            left.unlink(missing_ok=True)


def _note_session(folder: Path, threads: int) -> None:
    """A run may be resumed elsewhere: one entry for each session."""
    file = folder / ENVIRONMENT
    try:
        sessions = json.loads(file.read_text(encoding="utf-8"))["sessions"]
    except (OSError, ValueError, KeyError, TypeError):
        sessions = []
    started = datetime.now(timezone.utc).isoformat(timespec="seconds")
    session = {"started": started, **provenance.environment(), "threads": threads}
    write_json(file, {"sessions": [*sessions, session]})
