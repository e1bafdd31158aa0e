"""`stillwave distill`: a network taught by another."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from stillwave.cli.recipes import AsJson, Sets
from stillwave.cli.train import ChangedData, Extend, Quiet, run


def distill(
    recipe: Annotated[
        str | None, typer.Argument(metavar="RECIPE", help="A recipe file, or a shipped recipe's name.")
    ] = None,
    output: Annotated[
        Path | None,
        typer.Option(
            "--output", "-o", metavar="RUN", help="Run folder; the same command resumes an interrupted run."
        ),
    ] = None,
    teacher: Annotated[
        str | None,
        typer.Option(
            metavar="CKPT",
            help="Checkpoint or run folder of the teacher; default: the recipe's distill.teacher.",
        ),
    ] = None,
    overrides: Sets = None,
    explain: Annotated[
        Path | None,
        typer.Option(
            metavar="RUN",
            help="Train nothing; write a page on this run: which layers it compares, with which "
            "weights, and how they changed.",
        ),
    ] = None,
    check: Annotated[
        bool,
        typer.Option(
            "--check", help="Train nothing; compute one batch and print the value and gradient of every loss."
        ),
    ] = False,
    extend: Extend = False,
    allow_changed_data: ChangedData = False,
    quiet: Quiet = False,
    as_json: AsJson = False,
) -> None:
    """Distil a teacher into a student by a recipe, or resume an interrupted run.

    Example:
        stillwave distill small-student -o runs/student --teacher runs/teacher
        stillwave distill small-student --check --teacher runs/teacher
        stillwave distill --explain runs/student

    """
    from stillwave.errors import RecipeError
    from stillwave.recipe import load

    if explain is not None:
        _explain(explain, quiet, as_json)
        return
    if check and recipe is not None:
        from stillwave.cli.checking import check as check_recipe

        check_recipe(load(recipe, overrides or (), teacher=teacher), as_json)
        return
    if recipe is None or output is None:
        wanted = "--check" if check else "-o runs/student"
        what = "a recipe" if check else "a recipe and a run folder"
        raise RecipeError(f"give {what}, as in `stillwave distill small-student {wanted}`")
    loaded = load(recipe, overrides or (), teacher=teacher)
    if loaded.distill is None:
        raise RecipeError(f"{recipe}: has no 'distill' section; use `stillwave train {recipe} -o {output}`")
    run(loaded, output, as_json, quiet=quiet, extend=extend, allow_changed_data=allow_changed_data)


def _explain(folder: Path, quiet: bool, as_json: bool) -> None:
    import json

    from stillwave.explain.flow import explain

    page = explain(folder, quiet=quiet)
    typer.echo(json.dumps({"page": str(page)}) if as_json else str(page))
