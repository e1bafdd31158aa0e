"""Is a file whole? libsndfile reads what there is of a truncated one without a word."""

from __future__ import annotations

import os
from typing import BinaryIO

_UNKNOWN = 0x7FFFF000
"""Programs that write to a pipe cannot come back to the header: they put this size (SoX) or more (ffmpeg)."""
_LARGEST_OGG_PAGE = 27 + 255 + 255 * 255


def missing_bytes(handle: BinaryIO) -> int:
    """How many bytes a WAV, AIFF or Ogg file lacks at its end; 0 for whole files and other formats.

    FLAC and MP3 are found out while decoding. An Ogg file that ends between two pages passes: it cannot be
    told from a live recording.
    """
    handle.seek(0)
    head = handle.read(12)
    if head[:4] in (b"RIFF", b"RIFX") and head[8:] == b"WAVE":
        return _lacking(handle, b"data", "little" if head[:4] == b"RIFF" else "big")
    if head[:4] == b"FORM" and head[8:] in (b"AIFF", b"AIFC"):
        return _lacking(handle, b"SSND", "big")
    if head[:4] == b"OggS":
        return _lacking_page(handle)
    return 0


def _size(handle: BinaryIO) -> int:
    return handle.seek(0, os.SEEK_END)


def _lacking(handle: BinaryIO, wanted: bytes, order: str) -> int:
    """Walk the chunks (name, size, padded to even) to the one that holds the samples."""
    total = _size(handle)
    position = 12
    while position + 8 <= total:
        handle.seek(position)
        name = handle.read(4)
        size = int.from_bytes(handle.read(4), "little" if order == "little" else "big")
        position += 8
        if name == wanted:
            return 0 if size >= _UNKNOWN else max(0, position + size - total)
        position += size + size % 2
    return 0


def _lacking_page(handle: BinaryIO) -> int:
    """Look for the last page (RFC 3533, section 6) and add up the sizes of its segments."""
    total = _size(handle)
    handle.seek(max(0, total - _LARGEST_OGG_PAGE))
    tail = handle.read()
    start = tail.rfind(b"OggS")
    if start < 0:
        return 0
    page = tail[start:]
    if len(page) < 27 or len(page) < 27 + page[26]:
        return 27 - len(page) if len(page) < 27 else 27 + page[26] - len(page)
    return max(0, 27 + page[26] + sum(page[27 : 27 + page[26]]) - len(page))
