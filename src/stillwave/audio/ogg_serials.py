"""Serial numbers of Ogg streams: libsndfile draws them from the clock, the same samples are to give the same bytes."""

from __future__ import annotations

from functools import lru_cache
from pathlib import Path
from typing import BinaryIO

_POLYNOMIAL = 0x04C11DB7
"""Of an Ogg page's checksum, which starts at 0 and takes the most significant bit first."""
_HEADER, _SERIAL, _CHECKSUM = 27, 14, 22
"""Bytes of a page's fixed header, and where in it two numbers of 32 bits stand."""


def number_streams(path: Path) -> None:
    """Number the streams of an Ogg file 1, 2, … in the order in which they begin, in place."""
    numbers: dict[bytes, bytes] = {}
    with path.open("r+b") as file:
        while page := _next_page(file):
            start, size, header = page
            old = header[_SERIAL : _SERIAL + 4]
            new = numbers.setdefault(old, (len(numbers) + 1).to_bytes(4, "little"))
            changed = int.from_bytes(old, "big") ^ int.from_bytes(new, "big")
            checksum = int.from_bytes(header[_CHECKSUM : _CHECKSUM + 4], "little")
            # The checksum is linear: what it changes by depends on the changed bits and how far they are from the end.
            checksum ^= _product(changed, _power(32 + 8 * (size - _SERIAL - 4)))
            for place, value in ((_SERIAL, new), (_CHECKSUM, checksum.to_bytes(4, "little"))):
                file.seek(start + place)
                file.write(value)
            file.seek(start + size)


def _next_page(file: BinaryIO) -> tuple[int, int, bytes] | None:
    """Where the page at the file's position begins, its length, and its header; None where there is none."""
    start, header = file.tell(), file.read(_HEADER)
    if len(header) < _HEADER or header[:4] != b"OggS":
        return None
    segments = file.read(header[-1])
    return start, _HEADER + len(segments) + sum(segments), header


def _product(one: int, other: int) -> int:
    """Of two polynomials over GF(2), modulo the checksum's."""
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
    """The polynomial x to this power."""
    result, square = 1, 2
    while exponent:
        if exponent & 1:
            result = _product(result, square)
        square = _product(square, square)
        exponent >>= 1
    return result
