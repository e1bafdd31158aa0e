"""Standard streams of verbs that work in a pipe."""

from __future__ import annotations

import os
import sys
from pathlib import Path

from stillwave.errors import StillwaveError


def replace_closed_streams() -> None:
    """Open standard streams that are closed (`<&-`, some services) as empty ones; Python has None for them."""
    for name, mode in (("stdin", "r"), ("stdout", "w"), ("stderr", "w")):
        if getattr(sys, name) is None:
            setattr(sys, name, Path(os.devnull).open(mode, encoding="utf-8"))  # noqa: SIM115


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
