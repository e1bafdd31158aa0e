"""Sinks and sources of PulseAudio, or of PipeWire in its place, by name.

PortAudio reaches them all through one ALSA device, `pulse`; libpulse takes the name from environment variables when a
stream is opened.
"""

from __future__ import annotations

import os
import re
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Literal, NamedTuple

ALSA_DEVICE = "pulse"
"""Name of the ALSA device, of the package libasound2-plugins."""
_SECONDS = 5
_FORMAT = re.compile(r"\S+ (\d+)ch (\d+)Hz")


class Node(NamedTuple):
    """A sink or source of the sound server."""

    name: str
    channels: int
    rate: int
    """Sampling rate in Hz."""


def nodes(kind: Literal["sinks", "sources"]) -> list[Node]:
    """Return the sinks or sources that `pactl` lists; none without `pactl` or a server."""
    try:
        done = subprocess.run(
            ["pactl", "list", "short", kind],
            capture_output=True,
            text=True,
            errors="replace",
            timeout=_SECONDS,
        )
    except (OSError, subprocess.TimeoutExpired):
        return []
    rows = [line.split("\t") for line in done.stdout.splitlines()]
    found = [(row[1], _FORMAT.fullmatch(row[3])) for row in rows if len(row) > 3]
    return [Node(name, int(format[1]), int(format[2])) for name, format in found if format]


@contextmanager
def selected(source: str | None, sink: str | None) -> Iterator[None]:
    """Within this context, open the ALSA device with this source and sink; None leaves the server's default."""
    wanted = {"PULSE_SOURCE": source, "PULSE_SINK": sink}
    before = {name: os.environ.get(name) for name in wanted}
    os.environ.update({name: value for name, value in wanted.items() if value is not None})
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                os.environ.pop(name, None)
            else:
                os.environ[name] = value
