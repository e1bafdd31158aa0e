"""The run folder: its recipe, its environment, a lock against a second process, and the recipe of a resumed run."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

from stillwave import checkpoint, provenance
from stillwave import recipe as recipes
from stillwave.console import note
from stillwave.errors import RecipeError, StillwaveError
from stillwave.files import locked, read_json, write_json, write_text
from stillwave.schema import Recipe

RECIPE, ENVIRONMENT, LOG, CHECKPOINTS, BAD = (
    "recipe.yaml", "environment.json", "log.jsonl", "checkpoints", "bad_batches",
)  # fmt: skip
DATA = "data.json"
_FILES = (RECIPE, ENVIRONMENT, LOG, DATA, CHECKPOINTS, BAD, "explain", "tensorboard")
"""Everything that a run writes into its folder."""


@contextmanager
def opened(folder: Path, recipe: Recipe, *, resume: bool, extend: bool = False) -> Iterator[Recipe]:
    """Create or lock a run folder for this process; yield the recipe that the run continues with.

    The contents are not changed: `begin` does that, after data and checkpoints have been checked.

    Raises:
        RecipeError: The folder holds a run of another recipe (the keys are named) or is no run folder.
        StillwaveError: Another process uses the folder, or it cannot be written.

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


def begin(folder: Path, recipe: Recipe, lists: dict[str, Any], threads: int, teacher: str = "") -> None:
    """Write recipe, lists of recordings and this session into an opened folder. Raise StillwaveError.

    `teacher`: name and calibration of a teacher that has estimates only.
    """
    with _writable(folder):
        if not holds_checkpoint(folder):
            _start_over(folder, recipe)
        _clear_leftovers(folder)
        file = folder / RECIPE
        if not file.exists() or recipes.differences(recipes.load(file), recipe):
            write_text(file, recipes.dump(recipe))
        write_json(folder / DATA, lists)
        _note_session(folder, threads, teacher)


def restored(folder: Path, recipe: Recipe) -> bool:
    """Write the recipe again if the folder was moved or removed, so that it can be resumed; return whether it was."""
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
        what = "is a broken link" if folder.is_symlink() and not folder.exists() else "is a file"
        raise StillwaveError(f"{folder}: {what}; a run needs a folder") from None
    except OSError as error:
        raise StillwaveError(
            f"{folder}: cannot be written ({error.strerror or error}); give a writable run folder"
        ) from None


def holds_checkpoint(folder: Path) -> bool:
    """Return whether the folder holds a checkpoint to resume."""
    return any(checkpoint.numbered(folder / CHECKPOINTS, kind) for kind in ("step", "best"))


def _refuse_foreign(folder: Path) -> None:
    if (folder / RECIPE).exists():
        return
    others = sorted(p.name for p in folder.iterdir() if not p.name.startswith("."))
    if others:
        raise RecipeError(
            f"{folder}: is not a run folder (it contains '{others[0]}'); give a new or empty folder"
        )


def _agreed(folder: Path, recipe: Recipe, *, resume: bool, extend: bool) -> Recipe:
    """Return the recipe to continue with. Raise RecipeError if the folder's run has a different one."""
    if not holds_checkpoint(folder):
        return recipe
    if not resume:
        raise RecipeError(f"{folder}: already holds a run; resume it or give another folder")
    return continued(folder, recipes.load(folder / RECIPE), recipe, extend=extend)


def _start_over(folder: Path, recipe: Recipe) -> None:
    """Remove the files of an earlier start with another recipe that left no checkpoint."""
    try:
        same = recipes.dump(recipes.load(folder / RECIPE)) == recipes.dump(recipe)
    except RecipeError:
        same = not (folder / RECIPE).exists()
    if same:
        return
    note(f"{folder}: an earlier start with another recipe left no checkpoint; the run starts over")
    for name in _FILES:
        place = folder / name
        if place.is_dir():
            shutil.rmtree(place)
        else:
            place.unlink(missing_ok=True)


def _clear_leftovers(folder: Path) -> None:
    """Remove temporary files of a killed process."""
    for pattern in (".*.tmp", ".*.old"):
        for left in (folder / CHECKPOINTS).glob(pattern):
            shutil.rmtree(left, ignore_errors=True)
    for left in folder.glob(".*.tmp*"):
        if left.is_file():
            left.unlink(missing_ok=True)


def _note_session(folder: Path, threads: int, teacher: str) -> None:
    """Add this session to the environment file: a run may be resumed on another machine."""
    file = folder / ENVIRONMENT
    sessions = (read_json(file) or {}).get("sessions") or []
    started = datetime.now(timezone.utc).isoformat(timespec="seconds")
    session = {"started": started, **provenance.environment(), "threads": threads}
    if teacher:
        session["teacher"] = teacher
    write_json(file, {"sessions": [*sessions, session]})


STEPS = "train.steps"


def continued(folder: Path, before: Recipe, now: Recipe, *, extend: bool) -> Recipe:
    """Return the recipe that a run of recipe `before` continues with when `now` is given.

    More `train.steps` are accepted if no update depends on their number, or with `extend`: the added updates then have
    a schedule of their own (`optimiser.restarts`). The restarts of an extended run need not be given again.
    Raises RecipeError, which names the keys, if the recipes differ otherwise.
    """
    if not now.optimiser.restarts and now.train.steps >= before.train.steps:
        now = _restarting(now, before.optimiser.restarts)
    keys = recipes.differences(before, now)
    if not keys:
        return now
    if keys != [STEPS]:
        others = [key for key in keys if key != STEPS]
        more = f" (and {len(others) - 1} more)" if len(others) > 1 else ""
        raise RecipeError(
            f"{folder}: already holds a run with a different {others[0]}{more}; give another folder, or the recipe "
            f"that is in {folder / 'recipe.yaml'}"
        )
    old, new = before.train.steps, now.train.steps
    if new < old:
        raise RecipeError(
            f"{folder}: holds a run of {old} updates, and {STEPS} is {new}: a run cannot be made shorter; give "
            f"{STEPS}={old} or more, or another folder"
        )
    if not depends_on_length(before):
        return now
    if not extend:
        raise RecipeError(
            f"{folder}: holds a run of {old} updates, and {STEPS} is {new}: its learning rate falls until update "
            f"{old}, so a longer run would differ from the start. Add --extend to restart the learning rate after "
            f"update {old}, or give another folder"
        )
    return _restarting(now, (*before.optimiser.restarts, old))


def depends_on_length(recipe: Recipe) -> bool:
    """Return whether updates depend on `train.steps`, through the learning rate or the weights of the losses."""
    from stillwave.distill.schedule import LossSchedule

    schedule = LossSchedule(recipe.distill, recipe.train.steps)
    return recipe.optimiser.final != 1 or schedule.second > 0 or schedule.rises > 0


def _restarting(recipe: Recipe, restarts: tuple[int, ...]) -> Recipe:
    optimiser = recipe.optimiser.model_copy(update={"restarts": restarts})
    return recipe.model_copy(update={"optimiser": optimiser})
