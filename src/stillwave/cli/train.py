"""`stillwave train`: a network on its own."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from stillwave.cli.recipes import AsJson, Sets

if TYPE_CHECKING:
    from stillwave.schema import Recipe

RecipeName = Annotated[
    str, typer.Argument(metavar="RECIPE", help="A recipe file, or a shipped recipe's name.")
]
RunFolder = Annotated[
    Path,
    typer.Option(
        "--output", "-o", metavar="RUN", help="Run folder; the same command resumes an interrupted run."
    ),
]
Extend = Annotated[
    bool,
    typer.Option(
        "--extend",
        help="Make a run longer (with a larger train.steps) and restart the learning rate "
        "where it ended before.",
    ),
]
ChangedData = Annotated[
    bool,
    typer.Option(
        "--allow-changed-data",
        help="Resume a run whose lists of recordings have changed, which is refused otherwise.",
    ),
]
Quiet = Annotated[bool, typer.Option("--quiet", "-q", help="Show no progress bar.")]


def train(
    recipe: RecipeName,
    output: RunFolder,
    overrides: Sets = None,
    extend: Extend = False,
    allow_changed_data: ChangedData = False,
    quiet: Quiet = False,
    as_json: AsJson = False,
) -> None:
    """Train a network by a recipe, or resume an interrupted run.

    The best checkpoint's folder is printed. Under torchrun several processes share each batch.

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
    """Train or distil with the options of `stillwave.training.train`, and print the result: what both verbs do."""
    import json
    import os

    from stillwave.checkpoint import read_card
    from stillwave.console import err
    from stillwave.training import Stopped
    from stillwave.training import train as train_recipe

    try:
        best = train_recipe(recipe, output, **options)
    except Stopped as stopped:
        err.print(str(stopped), highlight=False, markup=False)
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
        typer.echo(json.dumps(figures, indent=2))
    else:
        typer.echo(str(best))
