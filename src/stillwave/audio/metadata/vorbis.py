"""Vorbis comments (KEY=value in UTF-8) of FLAC, Ogg Vorbis and Opus (Vorbis I, section 5), and headers of Ogg."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import BinaryIO

from stillwave.audio.metadata import vorbis

_VENDOR = b"stillwave"
_READ = {
    "TITLE", "COPYRIGHT", "ENCODER", "SOFTWARE", "ARTIST", "COMMENT", "DATE", "ALBUM", "LICENSE",
    "TRACKNUMBER", "GENRE",
}  # fmt: skip
"""Keys that libsndfile reads as tags."""
_GROUPS = (
    ("ReplayGain", ("REPLAYGAIN_", "R128_")),
    ("cover art", ("METADATA_BLOCK_PICTURE", "COVERART")),
    ("chapters", ("CHAPTER",)),
)


def raw_entries(content: bytes) -> list[bytes]:
    """Return the comments of a block, each KEY=value; of a damaged block those before the damage."""
    position = 4 + int.from_bytes(content[:4], "little")
    count = int.from_bytes(content[position : position + 4], "little")
    position += 4
    found: list[bytes] = []
    while len(found) < count and position + 4 <= len(content):
        size = int.from_bytes(content[position : position + 4], "little")
        if position + 4 + size > len(content):
            break
        found.append(content[position + 4 : position + 4 + size])
        position += 4 + size
    return found


def entries(content: bytes) -> list[tuple[str, str]]:
    """Return the comments of a block as (KEY, value)."""
    parts = (entry.decode("utf-8", "replace").partition("=") for entry in raw_entries(content))
    return [(key.upper(), value) for key, _, value in parts]


def packed(comments: list[bytes]) -> bytes:
    """Return a block with these comments."""
    head = _number(len(_VENDOR)) + _VENDOR + _number(len(comments))
    return head + b"".join(_number(len(comment)) + comment for comment in comments)


def unread(keys: Iterable[str]) -> list[str]:
    """Return the names of the comments that libsndfile does not read, related ones as one."""
    found: dict[str, None] = {}
    for key in keys:
        if key not in _READ:
            group = next((name for name, starts in _GROUPS if key.startswith(starts)), key)
            found[group] = None
    return list(found)


def _number(value: int) -> bytes:
    return value.to_bytes(4, "little")


_STARTS = (b"\x03vorbis", b"OpusTags")
_LARGEST = 2**26
"""Bytes of comments that are read; they include cover art."""


def opus_mapping_family(path: Path) -> int:
    """Return the channel mapping family (RFC 7845, section 5.1.1): 0 mono and stereo, 1 surround, 255 undefined."""
    with path.open("rb") as handle:
        packet = next(_packets(handle), b"")
    return packet[18] if packet[:8] == b"OpusHead" and len(packet) > 18 else 0


def extras(path: Path) -> list[str]:
    """Return the names of the comments that libsndfile does not read."""
    with path.open("rb") as handle:
        packets = _packets(handle)
        next(packets, b"")
        packet = next(packets, b"")
    start = next((start for start in _STARTS if packet.startswith(start)), None)
    return vorbis.unread(key for key, _ in vorbis.entries(packet[len(start) :])) if start else []


def _packets(handle: BinaryIO) -> Iterator[bytes]:
    """Yield the packets of the first stream."""
    serial: bytes | None = None
    packet = b""
    while len(packet) < _LARGEST:
        header = handle.read(27)
        if len(header) < 27 or header[:4] != b"OggS":
            return
        sizes = handle.read(header[26])
        if serial is None:
            serial = header[14:18]
        elif header[14:18] != serial:
            handle.seek(sum(sizes), 1)
            continue
        for size in sizes:
            packet += handle.read(size)
            if size < 255:
                yield packet
                packet = b""
