"""A command line with one verb, as `stillwave.cli` builds it, so that a test needs no other part."""

import typer
from typer.testing import CliRunner

from stillwave.cli import guard


def call(verb, *arguments):
    """Run a verb's function; `.exit_code`, `.stdout`, `.stderr`."""
    app = typer.Typer()
    app.command()(guard(verb))
    return CliRunner().invoke(app, [str(argument) for argument in arguments], catch_exceptions=False)
