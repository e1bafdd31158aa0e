"""`stillwave train`: train a network without a teacher."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from stillwave.cli.options import AsJson, Overrides, Quiet, RecipeName, RunFolder
from stillwave.cli.pipes import print_json
from stillwave.console import note

if TYPE_CHECKING:
    from stillwave.schema import Recipe

Extend = Annotated[
    bool,
    typer.Option(
        "--extend",
        help="Extend a finished run to a larger train.steps; the learning rate restarts where it ended.",
    ),
]
ChangedData = Annotated[
    bool,
    typer.Option(
        "--allow-changed-data",
        help="Resume a run although its lists of recordings have changed.",
    ),
]


def train(
    recipe: RecipeName,
    output: RunFolder,
    overrides: Overrides = None,
    extend: Extend = False,
    allow_changed_data: ChangedData = False,
    quiet: Quiet = False,
    as_json: AsJson = False,
) -> None:
    """Train a network without a teacher, or resume an interrupted run.

    Print the folder of the best checkpoint. Under torchrun, the processes share
    each batch.

    Example:
        stillwave train small-teacher -o runs/teacher --set train.steps=2000

    """
    from stillwave.errors import RecipeError
    from stillwave.recipe import load

    loaded = load(recipe, overrides or ())
    if loaded.distill is not None:
        raise RecipeError(
            f"{recipe}: has a 'distill' section; use `stillwave distill {recipe} -o {output} --teacher CKPT`"
        )
    run(loaded, output, as_json, quiet=quiet, extend=extend, allow_changed_data=allow_changed_data)


def run(recipe: Recipe, output: Path, as_json: bool, **options: bool) -> None:
    """Train or distil with the options of `stillwave.training.train`, and print the checkpoint."""
    import os

    from stillwave.checkpoint import read_card
    from stillwave.training import Stopped
    from stillwave.training import train as train_recipe

    try:
        best = train_recipe(recipe, output, None, **options)
    except Stopped as stopped:
        note(str(stopped))
        raise typer.Exit(stopped.code) from None
    if os.environ.get("RANK", "0") != "0":
        return
    card = read_card(best)
    if as_json:
        figures = {
            "checkpoint": str(best),
            "step": card.step,
            "scores": card.scores,
            "parameters": card.parameters,
        }
        print_json(figures)
    else:
        typer.echo(str(best))
