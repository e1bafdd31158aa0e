"""Read the headers of an Ogg stream: comments, and the channel mapping of Opus."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

from stillwave.audio.metadata import vorbis

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
