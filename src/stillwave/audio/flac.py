"""Number of samples of a FLAC file by its header and by its last frame; joined files (RFC 9639)."""

from __future__ import annotations

import os
from functools import cache, lru_cache
from typing import BinaryIO, NamedTuple

from stillwave.audio.views import FileBytes, Pieces, Span, View

_TAILS = (2**16, 2**22)
"""Bytes at the end of a file that are searched for the last frame; frames have at most some 2 MB."""
_TOTAL = 18
"""Offset from `fLaC` of the 8 bytes of STREAMINFO with rate, channels, bits and total."""


class Lengths(NamedTuple):
    """Samples per channel."""

    stated: int
    """In the header; 0 for unknown."""
    last: int | None
    """Up to the end of the last frame; None if that frame is incomplete."""


def start(handle: BinaryIO | View) -> int | None:
    """Return the position of `fLaC`, at the start or after an ID3v2 tag; None for other files."""
    handle.seek(0)
    head = handle.read(10)
    position = 0
    if head[:3] == b"ID3" and len(head) == 10:
        a, b, c, d = (byte & 127 for byte in head[6:])
        position = 10 + (a << 21 | b << 14 | c << 7 | d)
    handle.seek(position)
    return position if handle.read(4) == b"fLaC" else None


def recordings(handle: BinaryIO) -> list[Span]:
    """Search a file for joined FLAC files and return their byte ranges: one range for one recording."""
    found = os.fstat(handle.fileno())
    starts = _starts(handle.name, found.st_size, found.st_mtime_ns)
    return [Span(*both) for both in zip((0, *starts), (*starts, found.st_size), strict=True)]


@lru_cache(4096)
def _starts(path: str, size: int, time: int) -> tuple[int, ...]:  # noqa: ARG001 # cache key
    """Return where further recordings begin: `fLaC` and the header of STREAMINFO, whose length is 34 bytes."""
    starts = []
    try:
        with open(path, "rb") as handle:  # noqa: PTH123
            data, position = FileBytes(handle), start(handle) or 0
            while (position := data.find(b"fLaC", position + 4)) >= 0:
                if data[position + 4 : position + 8] in (b"\0\0\0\x22", b"\x80\0\0\x22"):
                    starts.append(position)
    except OSError:
        return ()
    return tuple(starts)


def end_of_frames(handle: BinaryIO | View) -> int:
    """Return where the frames end: at the end of the file, or before ID3v1 and APEv2 tags."""
    end = handle.seek(0, os.SEEK_END)
    if _bytes(handle, end - 128, 3) == b"TAG":
        end -= 128
    foot = _bytes(handle, end - 32, 32)
    if foot[:8] == b"APETAGEX":
        size = int.from_bytes(foot[12:16], "little")
        headed = _bytes(handle, end - size - 32, 8) == b"APETAGEX"
        end = max(0, end - size - 32 * headed)
    return end


def _bytes(handle: BinaryIO | View, position: int, count: int) -> bytes:
    if position < 0:
        return b""
    handle.seek(position)
    return handle.read(count)


def lengths(handle: BinaryIO | View) -> Lengths | None:
    """Return the number of samples by header and by last frame; None for other files."""
    at = start(handle)
    if at is None:
        return None
    handle.seek(at)
    head = handle.read(_TOTAL + 8)
    if len(head) < _TOTAL + 8:
        return None
    largest_block = int.from_bytes(head[10:12], "big")
    stated = int.from_bytes(head[_TOTAL:], "big") & (2**36 - 1)
    size = end_of_frames(handle)
    for length in _TAILS:
        begin = max(at, size - length)
        handle.seek(begin)
        end = _last_end(handle.read(size - begin), largest_block, stated)
        if end is not None:
            return Lengths(stated, end)
    return Lengths(stated, None)


def _last_end(tail: bytes, largest_block: int, stated: int) -> int | None:
    """Return the number of the sample after the last frame, by the header of that frame."""
    position = len(tail)
    while (position := tail.rfind(b"\xff", 0, position)) >= 0:
        end = _end(tail, position, largest_block)
        if end is not None:
            # A truncated last frame passes if its header agrees with the total; decoding it fails.
            is_complete = end == stated or _crc(tail[position:], 0x8005, 16) == 0
            return end if is_complete else None
    return None


def unlimited(handle: BinaryIO | View) -> Pieces:
    """Return the file with the largest possible total in its header, so that all frames are decoded."""
    at = start(handle)
    assert at is not None
    handle.seek(at + _TOTAL)
    value = int.from_bytes(handle.read(8), "big") | (2**36 - 1)
    end = end_of_frames(handle)
    return Span(0, at + _TOTAL), value.to_bytes(8, "big"), Span(at + _TOTAL + 8, end)


def _end(data: bytes, position: int, largest_block: int) -> int | None:
    """Return the number of the sample after the frame at `position`; None for no frame header."""
    head = data[position : position + 16]
    if len(head) < 6 or head[1] & 0xFE != 0xF8 or head[2] >> 4 == 0 or head[2] & 15 == 15:
        return None
    number, size = _number(head[4:])
    if size == 0:
        return None
    at = 4 + size
    code = head[2] >> 4
    if code in (6, 7):
        block = int.from_bytes(head[at : at + code - 5], "big") + 1
        at += code - 5
    else:
        block = 192 if code == 1 else 576 << (code - 2) if code < 6 else 256 << (code - 8)
    at += {12: 1, 13: 2, 14: 2}.get(head[2] & 15, 0)
    if at >= len(head) or _crc(head[: at + 1], 0x07, 8) != 0:
        return None
    return (number if head[1] & 1 else number * largest_block) + block


def _number(data: bytes) -> tuple[int, int]:
    """Decode a number in the scheme of UTF-8; return it and its size in bytes, (0, 0) for none."""
    first = data[0]
    size = 8 - (first ^ 255).bit_length()  # leading ones
    if size == 0:
        return first, 1
    if size == 1 or size == 8 or len(data) < size:
        return 0, 0
    value = first & (0x7F >> size)
    for byte in data[1:size]:
        if byte >> 6 != 2:
            return 0, 0
        value = value << 6 | byte & 63
    return value, size


def _crc(data: bytes, polynomial: int, bits: int) -> int:
    table, mask, value = _table(polynomial, bits), (1 << bits) - 1, 0
    for byte in data:
        value = (value << 8 ^ table[(value >> (bits - 8) ^ byte) & 255]) & mask
    return value


@cache
def _table(polynomial: int, bits: int) -> list[int]:
    table = []
    for byte in range(256):
        value = byte << (bits - 8)
        for _ in range(8):
            value = value << 1 ^ (polynomial if value >> (bits - 1) & 1 else 0)
        table.append(value & ((1 << bits) - 1))
    return table
