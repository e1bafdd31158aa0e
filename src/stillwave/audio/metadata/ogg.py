"""The headers of an Ogg stream: its comments, and how an Opus stream uses its channels."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

from stillwave.audio.metadata import vorbis

_STARTS = (b"\x03vorbis", b"OpusTags")
_LARGEST = 2**26
"""Bytes of comments that are looked through; cover art is in them."""


def opus_mapping_family(path: Path) -> int:
    """How channels are used (RFC 7845, section 5.1.1): 0 mono and stereo, 1 surround, 255 by nothing stated."""
    with path.open("rb") as handle:
        packet = next(_packets(handle), b"")
    return packet[18] if packet[:8] == b"OpusHead" and len(packet) > 18 else 0


def extras(path: Path) -> list[str]:
    """The names of those comments that libsndfile does not hand over."""
    with path.open("rb") as handle:
        packets = _packets(handle)
        next(packets, b"")
        packet = next(packets, b"")
    start = next((start for start in _STARTS if packet.startswith(start)), None)
    return vorbis.unread(key for key, _ in vorbis.entries(packet[len(start) :])) if start else []


def _packets(handle: BinaryIO) -> Iterator[bytes]:
    """The packets of the first stream, put together from its pages."""
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
