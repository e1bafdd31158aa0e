"""`stillwave recipes`: list, print, copy and check recipes."""

from __future__ import annotations

import shutil
import sys
import textwrap
from pathlib import Path
from typing import Annotated

import typer

from stillwave.cli.complete import complete_recipe
from stillwave.cli.options import AsJson, Overrides, Overwrite
from stillwave.cli.pipes import print_json

app = typer.Typer()
Recipe = Annotated[
    str, typer.Argument(autocompletion=complete_recipe, help="Name of a shipped recipe, or a file.")
]


@app.command("ls")
def ls(as_json: AsJson = False) -> None:
    """List the shipped recipes.

    Example:
        stillwave recipes ls

    """
    from stillwave.recipe import shipped, summary

    found = {name: summary(file) for name, file in shipped().items()}
    if as_json:
        print_json(found)
        return
    width = max(map(len, found), default=0) + 2
    columns = shutil.get_terminal_size().columns if sys.stdout.isatty() else sys.maxsize
    for name, text in found.items():
        lines = textwrap.wrap(text, max(40, columns - width)) or [""]
        typer.echo(f"{name:{width}}" + ("\n" + " " * width).join(lines))


@app.command("cat")
def cat(
    recipe: Recipe,
    resolved: Annotated[bool, typer.Option(help="Print every key, defaults included.")] = False,
    overrides: Overrides = None,
) -> None:
    """Print a recipe as written, or with every default filled in.

    Example:
        stillwave recipes cat small-student --resolved

    """
    from stillwave.recipe import dump, load, locate

    if resolved or overrides:
        typer.echo(dump(load(recipe, overrides or ())), nl=False)
    else:
        typer.echo(locate(recipe).read_text(encoding="utf-8"), nl=False)


@app.command("cp")
def cp(
    recipe: Recipe,
    target: Annotated[Path, typer.Argument(help="File to write, or a folder.")],
    overwrite: Overwrite = False,
) -> None:
    """Copy a recipe to a file, to edit it.

    Example:
        stillwave recipes cp small-student my-student.yaml

    """
    from stillwave.errors import RecipeError
    from stillwave.files import write_text
    from stillwave.recipe import locate

    source = locate(recipe)
    place = target / source.name if target.is_dir() else target
    if place.exists() and not overwrite:
        raise RecipeError(f"{place}: exists already; give another name or --overwrite")
    write_text(place, source.read_text(encoding="utf-8"))
    typer.echo(str(place))


@app.command("check")
def check(
    recipes: Annotated[
        list[str] | None,
        typer.Argument(autocompletion=complete_recipe, help="Files or names; default: all shipped recipes."),
    ] = None,
    overrides: Overrides = None,
    as_json: AsJson = False,
) -> None:
    """Check recipes against the schema; the exit code is 2 if one has an error.

    Example:
        stillwave recipes check my-student.yaml --set train.steps=200

    """
    from stillwave.errors import RecipeError
    from stillwave.recipe import load, shipped

    faults: dict[str, list[str]] = {}
    for name in recipes or list(shipped()):
        try:
            load(name, overrides or ())
            faults[name] = []
        except RecipeError as error:
            faults[name] = str(error).splitlines()
    if as_json:
        print_json(faults)
    else:
        for name, found in faults.items():
            typer.echo("\n".join(found) if found else f"{name}: valid")
    if any(faults.values()):
        raise typer.Exit(2)
