"""`stillwave check`: test the distillation of a recipe on one batch."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

from stillwave.cli.options import AsJson, Overrides, Quiet, RecipeName, Teacher, TeacherCommand
from stillwave.cli.pipes import print_json

if TYPE_CHECKING:
    from stillwave.training.selfcheck import Check


def check(
    recipe: RecipeName,
    teacher: Teacher = None,
    teacher_command: TeacherCommand = None,
    overrides: Overrides = None,
    quiet: Quiet = False,
    as_json: AsJson = False,
) -> None:
    """Compute one batch of a distillation and print each loss and its gradient, without training.

    Example:
        stillwave check small-student --teacher runs/teacher

    """
    from stillwave.console import no_display, waiting
    from stillwave.recipe import load
    from stillwave.training.selfcheck import check as run

    with no_display(quiet), waiting("computing one batch"):
        found = run(load(recipe, overrides or (), teacher=teacher, teacher_command=teacher_command))
    if as_json:
        print_json(found.as_json())
    else:
        _show(found)


def _show(check: Check) -> None:
    from rich.console import Console
    from rich.markup import escape
    from rich.table import Table

    found = check.findings
    console = Console(highlight=False, width=None if sys.stdout.isatty() else 110)  # no line breaks in names
    console.print(check.distiller.table())
    sizes = ", ".join(f"{name} {count:,}" for name, count in found.parameters.items())
    table = Table(
        title="Gradient norms by loss term",
        caption=f"‖∇‖: L2 norm of the gradient at the student; λ = {found.weight:.4g}",
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
        console.print("no warnings")
