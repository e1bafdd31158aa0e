"""With which recipe a run goes on: its own, or its own made longer."""

from __future__ import annotations

from pathlib import Path

from stillwave import recipe as recipes
from stillwave.errors import RecipeError
from stillwave.schema import Recipe

STEPS = "train.steps"


def continued(folder: Path, before: Recipe, now: Recipe, *, extend: bool) -> Recipe:
    """Return the recipe that a run of `before` goes on with when it is given `now`.

    More `train.steps` are taken where no update depends on their number, and with `extend` in any case: the added
    updates then get a schedule of their own (`optimiser.restarts`), and those before keep theirs. The restarts of a
    run that was extended belong to it: `now` need not name them.
    Raises RecipeError, which names the keys, where the two are otherwise different.
    """
    if not now.optimiser.restarts and now.train.steps >= before.train.steps:
        now = _restarting(now, before.optimiser.restarts)
    keys = recipes.differences(before, now)
    if not keys:
        return now
    if keys != [STEPS]:
        others = [key for key in keys if key != STEPS]  # more steps alone would have been no obstacle
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
            f"{old}, so a longer run would have been another from the start. Add --extend to restart the learning rate "
            f"after update {old}, or give another folder"
        )
    return _restarting(now, (*before.optimiser.restarts, old))


def depends_on_length(recipe: Recipe) -> bool:
    """Whether any update depends on how many there are: by the learning rate, or by the shares of distillation."""
    from stillwave.distill.schedule import LossSchedule

    plan = LossSchedule(recipe.distill, recipe.train.steps)
    return recipe.optimiser.final != 1 or plan.second > 0 or plan.rises > 0


def _restarting(recipe: Recipe, restarts: tuple[int, ...]) -> Recipe:
    optimiser = recipe.optimiser.model_copy(update={"restarts": restarts})
    return recipe.model_copy(update={"optimiser": optimiser})
