"""`stillwave distill`: a network taught by another."""

from __future__ import annotations

from typing import Annotated

import typer

from stillwave.cli.recipes import AsJson, Sets
from stillwave.cli.train import Quiet, RecipeName, RunFolder, run


def distill(
    recipe: RecipeName,
    output: RunFolder,
    teacher: Annotated[
        str | None,
        typer.Option(metavar="CKPT", help="The teacher's checkpoint or run folder; by default the recipe's."),
    ] = None,
    overrides: Sets = None,
    quiet: Quiet = False,
    as_json: AsJson = False,
) -> None:
    """Train a student to denoise and to resemble a teacher inside, or go on where its run was cut short.

    Example:
        stillwave distill small-student -o runs/student --teacher runs/teacher

    """
    from stillwave.errors import RecipeError
    from stillwave.recipe import load

    loaded = load(recipe, overrides or (), teacher=teacher)
    if loaded.distill is None:
        raise RecipeError(f"{recipe}: has no 'distill' section; use `stillwave train {recipe} -o {output}`")
    run(loaded, output, quiet, as_json)
