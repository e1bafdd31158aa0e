"""Read-only views of a file: its bytes, read in blocks, and files made of ranges of it and of other bytes."""

from __future__ import annotations

import os
from bisect import bisect_right
from collections.abc import Sequence
from typing import BinaryIO, NamedTuple, overload

_TAG = 128
"""Size of an ID3v1 tag, which decoders of MPEG audio look for at the end."""


class Span(NamedTuple):
    """A range of bytes of a file."""

    start: int
    stop: int


Pieces = Sequence["Span | bytes"]

_BLOCK = 2**20


class FileBytes:
    """The bytes of a file, sliced and searched as `bytes` are. One block is in memory, whatever the size of the file.

    The position of the file does not change.
    """

    def __init__(self, handle: BinaryIO) -> None:
        self._handle = handle
        self._size = os.fstat(handle.fileno()).st_size
        self._start, self._block = 0, b""

    def __len__(self) -> int:
        """Return the size of the file."""
        return self._size

    @overload
    def __getitem__(self, part: int) -> int: ...

    @overload
    def __getitem__(self, part: slice) -> bytes: ...

    def __getitem__(self, part: int | slice) -> int | bytes:
        """Return a byte, or the bytes of a slice without step."""
        if isinstance(part, int):
            return self[part : part + 1][0]
        start, stop, _ = part.indices(self._size)
        if start < self._start or stop > self._start + len(self._block):
            self._load(start, max(_BLOCK, stop - start))
        return self._block[start - self._start : stop - self._start]

    def find(self, word: bytes, start: int = 0, stop: int | None = None) -> int:
        """Return the first position of `word` in `[start, stop)`; -1 if there is none."""
        stop = self._size if stop is None else min(stop, self._size)
        while start < stop:
            if not self._start <= start <= self._start + len(self._block) - len(word):
                self._load(start, _BLOCK)
            found = self._block.find(word, start - self._start, stop - self._start)
            if found >= 0:
                return self._start + found
            if len(self._block) < len(word):
                return -1
            start = self._start + len(self._block) - len(word) + 1
        return -1

    def _load(self, start: int, size: int) -> None:
        before = self._handle.tell()
        self._handle.seek(start)
        self._start, self._block = start, self._handle.read(size)
        self._handle.seek(before)


class View:
    """A read-only file of `pieces` of `handle`, for `soundfile.SoundFile`.

    `claimed` is the size that is reported instead of the true one: decoders of MPEG audio estimate the number of
    samples from it and stop there, so with a large size they read to the end of the data.
    """

    def __init__(self, handle: BinaryIO, pieces: Pieces, claimed: int | None = None) -> None:
        self._handle = handle
        self._pieces = list(pieces)
        self._starts = [0]
        for piece in self._pieces:
            size = piece.stop - piece.start if isinstance(piece, Span) else len(piece)
            self._starts.append(self._starts[-1] + size)
        self.size = self._starts.pop()
        self._claimed = claimed or self.size
        self._position = 0

    def seek(self, offset: int, whence: int = os.SEEK_SET) -> int:
        """As `io.RawIOBase`."""
        base = {os.SEEK_SET: 0, os.SEEK_CUR: self._position, os.SEEK_END: self._claimed}[whence]
        self._position = max(0, base + offset)
        return self._position

    def tell(self) -> int:
        """As `io.RawIOBase`."""
        return self._position

    def read(self, size: int) -> bytes:
        """As `io.RawIOBase`; fewer bytes at the end only."""
        found = bytearray(size)
        return bytes(found[: self.readinto(memoryview(found))])

    def readinto(self, target: memoryview) -> int:
        """As `io.RawIOBase`."""
        wanted, count = len(target), 0
        while count < wanted and self._position < self.size:
            part = self._part(wanted - count)
            target[count : count + len(part)] = part
            count += len(part)
            self._position += len(part)
        if not count and self._claimed - _TAG <= self._position < self._claimed:
            count = min(wanted, self._claimed - self._position)
            target[:count] = bytes(count)
            self._position += count
        return count

    def _part(self, most: int) -> bytes:
        """Return bytes at the position, of one piece."""
        index = bisect_right(self._starts, self._position) - 1
        while True:  # pieces may be empty
            piece, inside = self._pieces[index], self._position - self._starts[index]
            if isinstance(piece, bytes):
                part = piece[inside : inside + most]
            else:
                self._handle.seek(piece.start + inside)
                part = self._handle.read(min(most, piece.stop - piece.start - inside))
            if part:
                return part
            index += 1
            if index == len(self._pieces):
                raise OSError("the file was truncated while it was read")
