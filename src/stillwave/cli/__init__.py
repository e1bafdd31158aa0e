"""The command line: the table of verbs, and how errors are printed."""

from __future__ import annotations

import functools
import importlib
import os
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any

import typer

import stillwave
from stillwave.cli.defaults import config_file, default_map
from stillwave.cli.pipes import replace_closed_streams
from stillwave.cli.verb import Verb, VerbGroup
from stillwave.console import err
from stillwave.errors import MissingExtraError, StillwaveError, on_terminal
from stillwave.files import as_path

SPINS = "10000"
"""Iterations that a waiting OpenMP thread spins; the default of GNU OpenMP is 300,000."""
PANELS = {
    "Use": ("enhance", "stream", "live", "web", "models"),
    "Train": ("train", "distill", "adapt", "check", "data", "recipes", "methods"),
    "Evaluate": ("evaluate", "arena", "compare", "explain", "beamform"),
    "Export": ("export", "latency", "probe"),
    "Tools": ("quickstart", "submission"),
}
"""Verbs by the heading that `stillwave --help` shows them under."""
GROUPS = {
    "data": "Build manifests and mixtures from recordings; simulate rooms and scenes.",
    "recipes": "List, print, copy and check recipes.",
}
VERBS = tuple(verb for verbs in PANELS.values() for verb in verbs if verb not in GROUPS)
EXTRAS = {  # module → the extra that installs it
    "torch": "train", "safetensors": "train", "tensorboard": "train", "matplotlib": "train",
    "joblib": "train", "pyroomacoustics": "rooms", "pesq": "eval", "pystoi": "eval", "scipy": "eval",
    "speechmos": "eval", "espeakng_loader": "demo", "onnx": "export", "jiwer": "asr", "pocketsphinx": "asr",
    "fastapi": "web", "starlette": "web", "uvicorn": "web", "python_multipart": "web", "prometheus_client": "web",
}  # fmt: skip


def guard(verb: Callable[..., Any]) -> Callable[..., Any]:
    """Return `verb` with errors printed as one sentence and turned into an exit code."""

    @functools.wraps(verb)
    def run(*args: Any, **kwargs: Any) -> Any:
        try:
            return verb(*args, **{name: _expanded(value) for name, value in kwargs.items()})
        except StillwaveError as error:
            _print_error(on_terminal(str(error)))
            raise typer.Exit(getattr(error, "code", 2)) from None  # Stopped has its own
        except ModuleNotFoundError as error:
            missing = (error.name or "").partition(".")[0]
            if missing not in EXTRAS:
                raise
            _print_error(str(MissingExtraError(f"'{verb.__name__}'", EXTRAS[missing])))
            raise typer.Exit(2) from None
        except BrokenPipeError:  # the reader of stdout is closed
            raise typer.Exit(141) from None
        except OSError as error:
            where = f"{error.filename}: " if error.filename else ""
            _print_error(f"{where}{error.strerror or error}")
            raise typer.Exit(2) from None
        except KeyboardInterrupt:
            _print_error("interrupted; finished output is kept")
            raise typer.Exit(130) from None

    return run


def _expanded(value: Any) -> Any:
    """Expand `~` in paths, which a shell leaves in quotes and after `--output=`."""
    if isinstance(value, list):
        return [_expanded(item) for item in value]
    return as_path(value) if isinstance(value, Path) else value


def _print_error(message: str) -> None:
    from rich.markup import escape

    err.print(f"[bold red]error:[/] {escape(message)}", highlight=False)


def _version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"stillwave {stillwave.__version__}")
        raise typer.Exit


def _root(
    context: typer.Context,
    version: Annotated[  # noqa: ARG001  its callback prints it
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Print the version and exit.")
    ] = False,
) -> None:
    """Remove noise from recordings and live sound; train, distil and export the networks that do it."""
    context.default_map = default_map(context.command)


def build() -> typer.Typer:
    """Return the application."""
    root = typer.Typer(
        cls=VerbGroup,
        no_args_is_help=True,
        add_completion=True,
        pretty_exceptions_enable=False,
        epilog=f"Defaults for model, jobs and device: {config_file()}",
    )
    root.callback()(guard(_root))
    for panel, verbs in PANELS.items():
        for verb in verbs:
            if verb in GROUPS:
                root.add_typer(_group(verb), name=verb, help=GROUPS[verb], rich_help_panel=panel)
            else:
                root.command(verb, cls=Verb, rich_help_panel=panel)(guard(_function(verb, verb)))
    root.command("info", cls=Verb, hidden=True)(guard(_function("models", "info")))
    return root


def _function(module: str, name: str) -> Callable[..., Any]:
    function: Callable[..., Any] = getattr(importlib.import_module(f"stillwave.cli.{module}"), name)
    return function


def _group(name: str) -> typer.Typer:
    group = typer.Typer(cls=VerbGroup, no_args_is_help=True)
    for command in importlib.import_module(f"stillwave.cli.{name}").app.registered_commands:
        group.command(command.name, cls=Verb)(guard(command.callback))
    return group


def main() -> None:
    """Entry point of the `stillwave` command."""
    replace_closed_streams()
    yield_cores()
    build()()


def yield_cores() -> None:
    """Limit how long threads of GNU OpenMP spin while they wait; to be called before torch is imported.

    On cores shared with other programs, spinning threads keep out the threads that they wait for: a forward pass took
    twenty times as long (`benchmarks/busy_cores.py`). Settings of the user take precedence.
    """
    if "OMP_WAIT_POLICY" not in os.environ:
        os.environ.setdefault("GOMP_SPINCOUNT", SPINS)
