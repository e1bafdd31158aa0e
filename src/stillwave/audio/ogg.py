"""Ogg pages (RFC 3533): the chained streams of a file, and serial numbers that do not depend on the clock."""

from __future__ import annotations

from functools import lru_cache
from pathlib import Path
from typing import BinaryIO

from stillwave.audio.views import FileBytes, Span

_BEGINS = 2
"""The flag of the first page of a stream."""
_POLYNOMIAL = 0x04C11DB7
"""Polynomial of the checksum of a page; the initial value is 0, the most significant bit comes first."""
_HEADER, _SERIAL, _CHECKSUM = 27, 14, 22
"""Size of the fixed header of a page, and the offsets of two 32-bit numbers in it."""


def links(handle: BinaryIO) -> list[Span]:
    """Return the byte ranges of chained streams (multiplexed ones as one); none for files that are not Ogg."""
    try:
        data = FileBytes(handle)
        starts = _starts(data)
    except OSError:
        return []
    return [Span(start, stop) for start, stop in zip(starts, [*starts[1:], len(data)], strict=False)]


def _starts(data: FileBytes) -> list[int]:
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


def number_streams(path: Path) -> None:
    """Set the serial numbers of the streams of a file to 1, 2, …, in place: libsndfile takes them from the clock."""
    numbers: dict[bytes, bytes] = {}
    with path.open("r+b") as file:
        while page := _next_page(file):
            start, size, header = page
            old = header[_SERIAL : _SERIAL + 4]
            new = numbers.setdefault(old, (len(numbers) + 1).to_bytes(4, "little"))
            changed = int.from_bytes(old, "big") ^ int.from_bytes(new, "big")
            checksum = int.from_bytes(header[_CHECKSUM : _CHECKSUM + 4], "little")
            # The checksum is linear: its change depends on the changed bits and their distance from the end only.
            checksum ^= _product(changed, _power(32 + 8 * (size - _SERIAL - 4)))
            for place, value in ((_SERIAL, new), (_CHECKSUM, checksum.to_bytes(4, "little"))):
                file.seek(start + place)
                file.write(value)
            file.seek(start + size)


def _next_page(file: BinaryIO) -> tuple[int, int, bytes] | None:
    """Return start, size and header of the page at the position of the file; None for no page."""
    start, header = file.tell(), file.read(_HEADER)
    if len(header) < _HEADER or header[:4] != b"OggS":
        return None
    segments = file.read(header[-1])
    return start, _HEADER + len(segments) + sum(segments), header


def _product(one: int, other: int) -> int:
    """Multiply two polynomials over GF(2), modulo that of the checksum."""
    result = 0
    while other:
        if other & 1:
            result ^= one
        other >>= 1
        one <<= 1
        if one >> 32:
            one ^= _POLYNOMIAL | 1 << 32
    return result


@lru_cache(maxsize=1024)
def _power(exponent: int) -> int:
    """Return x to this power, modulo the polynomial of the checksum."""
    result, square = 1, 2
    while exponent:
        if exponent & 1:
            result = _product(result, square)
        square = _product(square, square)
        exponent >>= 1
    return result
