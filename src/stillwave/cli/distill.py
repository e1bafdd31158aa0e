"""`stillwave distill`: train a student with a teacher."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from stillwave.cli.options import (
    AsJson,
    OptionalRecipe,
    OptionalRun,
    Overrides,
    Quiet,
    Teacher,
    TeacherCommand,
)
from stillwave.cli.train import ChangedData, Extend, run


def distill(
    recipe: OptionalRecipe = None,
    output: OptionalRun = None,
    teacher: Teacher = None,
    teacher_command: TeacherCommand = None,
    overrides: Overrides = None,
    extend: Extend = False,
    allow_changed_data: ChangedData = False,
    quiet: Quiet = False,
    as_json: AsJson = False,
    check: Annotated[
        bool, typer.Option("--check", hidden=True, help="Former name of `stillwave check RECIPE`.")
    ] = False,
    explain: Annotated[
        Path | None,
        typer.Option("--explain", hidden=True, help="Former name of `stillwave explain RUN`."),
    ] = None,
) -> None:
    """Train a student with a teacher, or resume an interrupted run.

    Print the folder of the best checkpoint. To test a recipe on one batch first,
    use `stillwave check`; for a report on a finished run, `stillwave explain`.

    Example:
        stillwave distill small-student -o runs/student --teacher runs/teacher
        stillwave distill small-student -o runs/student --teacher rnnoise --set distill.method=output

    """
    from stillwave.errors import RecipeError
    from stillwave.recipe import load

    if explain is not None:
        from stillwave.cli.explain import explain as explain_run

        explain_run(explain, quiet, as_json)
        return
    if check and recipe is not None:
        from stillwave.cli.check import check as check_recipe

        check_recipe(recipe, teacher, teacher_command, overrides, quiet, as_json)
        return
    if recipe is None or output is None:
        raise RecipeError("give a recipe and a run folder: stillwave distill small-student -o runs/student")
    loaded = load(recipe, overrides or (), teacher=teacher, teacher_command=teacher_command)
    if loaded.distill is None:
        raise RecipeError(f"{recipe}: has no 'distill' section; use `stillwave train {recipe} -o {output}`")
    run(loaded, output, as_json, quiet=quiet, extend=extend, allow_changed_data=allow_changed_data)
