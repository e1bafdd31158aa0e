"""Standard streams: JSON on stdout, and what a pipe needs."""

from __future__ import annotations

import errno
import json
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import typer

from stillwave.errors import StillwaveError
from stillwave.files import printable

FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)


def replace_closed_streams() -> None:
    """Open standard streams that are closed (`<&-`, some services) as empty ones; Python has None for them."""
    for name, mode in (("stdin", "r"), ("stdout", "w"), ("stderr", "w")):
        if getattr(sys, name) is None:
            setattr(sys, name, Path(os.devnull).open(mode, encoding="utf-8"))  # noqa: SIM115


def print_json(value: Any) -> None:
    """Print plain data to stdout; what JSON does not have, such as a path, as text."""
    text = json.dumps(value, indent=2, ensure_ascii=False, allow_nan=False, default=str)
    typer.echo(printable(text))


def check_pipes(how: str) -> None:
    """Raise StillwaveError if stdin or stdout is closed or a terminal; `how` states what to pipe in."""
    for name, stream, remedy in (
        ("stdin", sys.stdin, how),
        ("stdout", sys.stdout, "send it to a file or another program"),
    ):
        if stream is None or getattr(stream, "name", "") == os.devnull:
            raise StillwaveError(f"{name} is closed; {remedy}")
        if stream.isatty():
            raise StillwaveError(f"{name} is a terminal; {remedy}")


@contextmanager
def naming_stdout() -> Iterator[None]:
    """Name stdout in the error of a full device; redirect it if its reader is closed: Python is quiet at exit."""
    try:
        yield
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        raise
    except OSError as error:
        if error.errno in FULL and error.filename is None:
            error.filename = "stdout"
        raise
