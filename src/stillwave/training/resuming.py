"""The recipe that a resumed run continues with: its own, possibly with more steps."""

from __future__ import annotations

from pathlib import Path

from stillwave import recipe as recipes
from stillwave.errors import RecipeError
from stillwave.schema import Recipe

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
