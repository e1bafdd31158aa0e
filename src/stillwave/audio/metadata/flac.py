"""Metadata blocks of FLAC files (RFC 9639, section 8), and copies of what is not the samples'."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from stillwave.audio.metadata import id3, vorbis

_STREAMINFO, _APPLICATION, _COMMENTS, _CUESHEET, _PICTURE = 0, 2, 4, 5, 6
_NAMES = {_APPLICATION: "application data", _CUESHEET: "cue sheet", _PICTURE: "cover art"}
CHANNEL_MASK = "WAVEFORMATEXTENSIBLE_CHANNEL_MASK"
"""The comment that states which loudspeakers the channels are for, where these are not the usual ones."""


@dataclass(frozen=True)
class Block:
    """`size` bytes at `start`, without the four of the header."""

    kind: int
    start: int
    size: int


def blocks(handle: BinaryIO) -> Iterator[Block]:
    """The metadata blocks of a FLAC file; nothing for another file."""
    position = id3.size(handle)
    handle.seek(position)
    if handle.read(4) != b"fLaC":
        return
    position += 4
    while True:
        handle.seek(position)
        header = handle.read(4)
        if len(header) < 4:
            return
        size = int.from_bytes(header[1:], "big")
        yield Block(header[0] & 0x7F, position + 4, size)
        position += 4 + size
        if header[0] & 0x80:
            return


def comments(path: Path) -> list[tuple[str, str]]:
    """The comments of a FLAC file: (KEY, value)."""
    with path.open("rb") as handle:
        return [
            entry
            for block in blocks(handle)
            if block.kind == _COMMENTS
            for entry in vorbis.entries(_content(handle, block))
        ]


def extras(path: Path) -> list[str]:
    """The names of what a FLAC file holds beside samples and those tags that libsndfile reads."""
    with path.open("rb") as handle:
        found = [_NAMES[block.kind] for block in blocks(handle) if block.kind in _NAMES]
    return [*found, *vorbis.unread(key for key, _ in comments(path) if key != CHANNEL_MASK)]


def copy_extras(source: Path, target: Path, rate_in: int, rate_out: int, mask: int | None) -> list[str]:
    """Give a FLAC file the comments, pictures and other data of another; the names of those left out.

    A cue sheet states positions in samples, so that it is left out where the rate differs. `mask` is the channel mask
    to state, 0 for none; None keeps what the source's comments say. The target is written anew: its first bytes change.
    """
    lost: list[str] = []
    carried: list[tuple[int, bytes]] = []
    with source.open("rb") as read:
        for block in blocks(read):
            if block.kind == _CUESHEET and rate_in != rate_out:
                lost.append(_NAMES[block.kind])
            elif block.kind == _COMMENTS:
                entries = vorbis.raw_entries(_content(read, block))
                carried.append((_COMMENTS, vorbis.packed(_with_mask(entries, mask))))
            elif block.kind in _NAMES:
                carried.append((block.kind, _content(read, block)))
    _rewrite(target, carried)
    return lost


def state_channel_mask(path: Path, mask: int) -> None:
    """Add the comment that says which loudspeakers the channels are for."""
    with path.open("rb") as handle:
        found = [_content(handle, block) for block in blocks(handle) if block.kind == _COMMENTS]
    entries = vorbis.raw_entries(found[0]) if found else []
    _rewrite(path, [(_COMMENTS, vorbis.packed(_with_mask(entries, mask)))])


def _with_mask(entries: list[bytes], mask: int | None) -> list[bytes]:
    if mask is None:
        return entries
    key = CHANNEL_MASK.encode() + b"="
    kept = [entry for entry in entries if not entry.upper().startswith(key)]
    return [*kept, key + f"0x{mask:04X}".encode()] if mask else kept


def _rewrite(path: Path, carried: list[tuple[int, bytes]]) -> None:
    """Put blocks in place of those of the same kinds, and of padding; the frames of samples follow as they were."""
    kinds = {kind for kind, _ in carried} | {1}
    work = path.with_name(path.name + ".new")  # beside a temporary file, whose name is short
    try:
        with path.open("rb") as read, work.open("wb") as write:
            found = list(blocks(read))
            kept = [(b.kind, _content(read, b)) for b in found if b.kind not in kinds]
            together = [*kept, *carried]
            write.write(b"fLaC")
            for index, (kind, content) in enumerate(together):
                last = 0x80 if index == len(together) - 1 else 0
                write.write(bytes([kind | last]) + len(content).to_bytes(3, "big") + content)
            read.seek(found[-1].start + found[-1].size)
            shutil.copyfileobj(read, write, 2**20)
        work.replace(path)
    finally:
        work.unlink(missing_ok=True)


def _content(handle: BinaryIO, block: Block) -> bytes:
    handle.seek(block.start)
    return handle.read(block.size)
