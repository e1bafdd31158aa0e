"""Ogg page by page: where one of several chained streams ends and the next begins (RFC 3533)."""

from __future__ import annotations

import mmap
from typing import BinaryIO

from stillwave.audio.views import Span

_BEGINS = 2
"""The flag of a stream's first page."""


def links(handle: BinaryIO) -> list[Span]:
    """The ranges of a file that hold a stream, or several that are multiplexed, each; none for no Ogg file."""
    try:
        with mmap.mmap(handle.fileno(), 0, access=mmap.ACCESS_READ) as data:
            starts = _starts(data)
            return [Span(*both) for both in zip(starts, [*starts[1:], len(data)], strict=True)]
    except (ValueError, OSError):
        return []


def _starts(data: mmap.mmap) -> list[int]:
    starts: list[int] = []
    beginning = False
    position = data.find(b"OggS")
    while position >= 0:
        header = data[position : position + 27]
        table = data[position + 27 : position + 27 + header[26]] if len(header) == 27 else b""
        if len(header) < 27 or header[4] != 0:
            position = data.find(b"OggS", position + 4)
            continue
        if header[5] & _BEGINS:
            if not beginning:
                starts.append(position)
            beginning = True
        else:
            beginning = False
        behind = position + 27 + len(table) + sum(table)
        position = behind if data[behind : behind + 4] == b"OggS" else data.find(b"OggS", behind)
    return starts
