"""Read and copy metadata blocks of FLAC files (RFC 9639, section 8)."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from stillwave.audio.metadata import id3, vorbis
from stillwave.files import atomic_file

_STREAMINFO, _APPLICATION, _COMMENTS, _CUESHEET, _PICTURE = 0, 2, 4, 5, 6
_NAMES = {_APPLICATION: "application data", _CUESHEET: "cue sheet", _PICTURE: "cover art"}
CHANNEL_MASK = "WAVEFORMATEXTENSIBLE_CHANNEL_MASK"
"""The comment for a channel layout other than the default one."""


@dataclass(frozen=True)
class Block:
    """A block of `size` bytes at `start`, without its header of 4 bytes."""

    kind: int
    start: int
    size: int


def blocks(handle: BinaryIO) -> Iterator[Block]:
    """Yield the metadata blocks of a FLAC file; none for another file."""
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
    """Return the comments of a FLAC file as (KEY, value)."""
    with path.open("rb") as handle:
        return [
            entry
            for block in blocks(handle)
            if block.kind == _COMMENTS
            for entry in vorbis.entries(_content(handle, block))
        ]


def extras(path: Path) -> list[str]:
    """Return the names of the metadata that libsndfile does not read."""
    with path.open("rb") as handle:
        found = [_NAMES[block.kind] for block in blocks(handle) if block.kind in _NAMES]
    return [*found, *vorbis.unread(key for key, _ in comments(path) if key != CHANNEL_MASK)]


def copy_extras(source: Path, target: Path, rate_in: int, rate_out: int, mask: int | None) -> list[str]:
    """Copy comments, pictures and application data of a FLAC file to another; return the names of what is left out.

    A cue sheet has positions in samples and is left out if the rates differ. `mask` is the channel mask to write: 0 for
    none, None for that of the source's comments. The target is rewritten.
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
    """Write the channel mask into the comments of a FLAC file."""
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
    """Replace the blocks of these kinds, and padding; the audio frames stay unchanged."""
    kinds = {kind for kind, _ in carried} | {1}
    with atomic_file(path, sync=False) as work, path.open("rb") as read, work.open("wb") as write:
        found = list(blocks(read))
        kept = [(b.kind, _content(read, b)) for b in found if b.kind not in kinds]
        together = [*kept, *carried]
        write.write(b"fLaC")
        for index, (kind, content) in enumerate(together):
            last = 0x80 if index == len(together) - 1 else 0
            write.write(bytes([kind | last]) + len(content).to_bytes(3, "big") + content)
        read.seek(found[-1].start + found[-1].size)
        shutil.copyfileobj(read, write, 2**20)


def _content(handle: BinaryIO, block: Block) -> bytes:
    handle.seek(block.start)
    return handle.read(block.size)
