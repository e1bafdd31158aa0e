"""What `stillwave distill --check` prints."""

from __future__ import annotations

import json
import sys
from typing import TYPE_CHECKING

import typer

if TYPE_CHECKING:
    from stillwave.schema import Recipe
    from stillwave.training.selfcheck import Check


def check(recipe: Recipe, as_json: bool) -> None:
    """Look at a recipe's distillation and say what was found."""
    from stillwave.console import waiting
    from stillwave.training.selfcheck import check as examine

    with waiting("looking at one batch"):
        found = examine(recipe)
    if as_json:
        typer.echo(json.dumps(found.as_json(), indent=2, ensure_ascii=False, allow_nan=False))
    else:
        _show(found)


def _show(check: Check) -> None:
    from rich.console import Console
    from rich.markup import escape
    from rich.table import Table

    found = check.findings
    # No terminal has no width: wide enough for layers to stay whole.
    console = Console(highlight=False, width=None if sys.stdout.isatty() else 110)
    console.print(check.distiller.table())
    sizes = ", ".join(f"{name} {count:,}" for name, count in found.parameters.items())
    table = Table(
        title="What pulls at the student",
        caption=f"‖∇‖: norm of the gradient at the student; λ = {found.weight:.4g}",
    )
    table.add_column("loss")
    for heading in ("size", "‖∇‖", "λ·‖∇‖ / ‖∇ enhancement‖", "share"):
        table.add_column(heading, justify="right")
    table.add_row("enhancement", f"{found.enhancement:.4g}", f"{found.gradient:.4g}", "", "")
    for term in found.terms:
        figures = (f"{term.value:.4g}", f"{term.gradient:.4g}", f"{term.against:.3f}", f"{term.share:.0%}")
        table.add_row(term.name, *figures)
    console.print(table)
    for line in (f"parameters: {sizes}", f"batch: {check.batch}", f"schedule: {check.schedule}"):
        console.print(escape(line), soft_wrap=True)
    for warning in found.warnings:
        console.print(f"[yellow]warning:[/] {escape(warning)}", soft_wrap=True)
    if not found.warnings:
        console.print("nothing looks wrong")
