"""`stillwave recipes`: the shipped recipes, and a check of anybody's."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated

import typer

app = typer.Typer()

Sets = Annotated[
    list[str] | None,
    typer.Option(
        "--set",
        metavar="KEY=VALUE",
        help="Override a key of the recipe, as in train.steps=200. Repeat it for several.",
    ),
]
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON to stdout, and nothing else there.")]


@app.command("ls")
def ls(as_json: AsJson = False) -> None:
    """List the shipped recipes.

    Example:
        stillwave recipes ls

    """
    from stillwave.recipe import shipped, summary

    found = {name: summary(file) for name, file in shipped().items()}
    if as_json:
        typer.echo(json.dumps(found, indent=2))
        return
    width = max(map(len, found), default=0)
    for name, line in found.items():
        typer.echo(f"{name:{width}}  {line}")


@app.command("cat")
def cat(
    recipe: Annotated[str, typer.Argument(help="A shipped recipe's name, or a file.")],
    resolved: Annotated[bool, typer.Option(help="Print every key, defaults included.")] = False,
    overrides: Sets = None,
) -> None:
    """Print a recipe, as it is written or with every default filled in.

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
    recipe: Annotated[str, typer.Argument(help="A shipped recipe's name, or a file.")],
    target: Annotated[Path, typer.Argument(help="File to write, or a folder, in which the name is kept.")],
    force: Annotated[bool, typer.Option("--force", help="Replace a file that is there.")] = False,
) -> None:
    """Copy a recipe, to make your own of it.

    Example:
        stillwave recipes cp small-student my-student.yaml

    """
    from stillwave.errors import RecipeError
    from stillwave.files import write_text
    from stillwave.recipe import locate

    source = locate(recipe)
    place = target / source.name if target.is_dir() else target
    if place.exists() and not force:
        raise RecipeError(f"{place}: exists already; give another name, or --force")
    write_text(place, source.read_text(encoding="utf-8"))
    typer.echo(str(place))


@app.command("check")
def check(
    recipes: Annotated[
        list[str] | None, typer.Argument(help="Files or names; by default all that are shipped.")
    ] = None,
    overrides: Sets = None,
    as_json: AsJson = False,
) -> None:
    """Check recipes against the schema, without training. Exit code 2 if one has a fault.

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
        typer.echo(json.dumps(faults, indent=2, ensure_ascii=False))
    else:
        for name, found in faults.items():
            typer.echo("\n".join(found) if found else f"{name}: no fault")
    if any(faults.values()):
        raise typer.Exit(2)
