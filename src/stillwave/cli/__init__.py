"""The command line: a table from verb to function. Verbs are thin; errors are turned into one sentence here."""

from __future__ import annotations

import functools
import importlib
import os
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any

import typer

import stillwave
from stillwave.cli.pipes import stand_in
from stillwave.console import err
from stillwave.errors import MissingExtraError, StillwaveError, on_terminal
from stillwave.files import as_path

SPINS = "10000"
"""GNU OpenMP's own number is 300,000."""
VERBS = (
    "quickstart",
    "train",
    "distill",
    "compare",
    "methods",
    "evaluate",
    "beamform",
    "submission",
    "enhance",
    "stream",
    "live",
    "models",
    "info",
    "probe",
    "latency",
    "export",
)
GROUPS = {
    "data": "Scan, check, split, mix, simulate and summarise recordings.",
    "recipes": "List, print, copy and check the shipped recipes.",
}
EXTRAS = {  # an import that fails → the extra that brings it
    "torch": "train", "safetensors": "train", "tensorboard": "train", "matplotlib": "train",
    "joblib": "train", "pyroomacoustics": "rooms", "pesq": "eval", "pystoi": "eval", "scipy": "eval",
    "speechmos": "eval", "espeakng_loader": "demo", "onnx": "export", "jiwer": "asr", "pocketsphinx": "asr",
}  # fmt: skip


def guard(verb: Callable[..., Any]) -> Callable[..., Any]:
    """Run a verb; end on one sentence and a non-zero exit code where the user can act, never on a traceback."""

    @functools.wraps(verb)
    def run(*args: Any, **kwargs: Any) -> Any:
        try:
            return verb(*args, **{name: _expanded(value) for name, value in kwargs.items()})
        except StillwaveError as error:
            _say(on_terminal(str(error)))
            raise typer.Exit(getattr(error, "code", 2)) from None  # a run that was asked to stop has its own
        except ModuleNotFoundError as error:
            missing = (error.name or "").partition(".")[0]
            if missing not in EXTRAS:
                raise
            _say(str(MissingExtraError(f"'{verb.__name__}'", EXTRAS[missing])))
            raise typer.Exit(2) from None
        except (
            BrokenPipeError
        ):  # the reader of our stdout has gone: nothing left to say, nor anyone to hear it
            raise typer.Exit(141) from None
        except OSError as error:
            where = f"{error.filename}: " if error.filename else ""
            _say(f"{where}{error.strerror or error}")
            raise typer.Exit(2) from None
        except KeyboardInterrupt:
            _say("interrupted; what was finished is kept")
            raise typer.Exit(130) from None

    return run


def _expanded(value: Any) -> Any:
    """Paths with the home folder for `~`, which a shell leaves in quotes and behind `--output=`."""
    if isinstance(value, list):
        return [_expanded(item) for item in value]
    return as_path(value) if isinstance(value, Path) else value


def _say(message: str) -> None:
    err.print(f"[bold red]error:[/] {_escape(message)}", highlight=False)


def _escape(text: str) -> str:
    from rich.markup import escape

    return escape(text)


def _version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"stillwave {stillwave.__version__}")
        raise typer.Exit


def _root(
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Print the version and exit.")
    ] = False,
) -> None:
    """Distil speech enhancement: turn a large denoiser into a small one and keep its quality."""


def build() -> typer.Typer:
    """The whole application."""
    root = typer.Typer(no_args_is_help=True, add_completion=True, pretty_exceptions_enable=False)
    root.callback()(_root)
    for verb in VERBS:
        function = getattr(importlib.import_module(f"stillwave.cli.{verb}"), verb)
        root.command(verb)(guard(function))
    for name, summary in GROUPS.items():
        group: typer.Typer = importlib.import_module(f"stillwave.cli.{name}").app
        for command in group.registered_commands:
            if command.callback is not None:
                command.callback = guard(command.callback)
        root.add_typer(group, name=name, help=summary, no_args_is_help=True)
    return root


def main() -> None:
    """Entry point of the `stillwave` command."""
    stand_in()
    yield_cores()
    build()()


def yield_cores() -> None:
    """Let PyTorch's threads (GNU OpenMP) spin briefly while they wait for each other; before torch is imported.

    Where other programs use the cores too, threads that wait long keep those from running that they wait for: a pass
    took twenty times as long (`benchmarks/busy_cores.py`). What the user set stays.
    """
    if "OMP_WAIT_POLICY" not in os.environ:
        os.environ.setdefault("GOMP_SPINCOUNT", SPINS)
