"""Size and contents of ID3v2 tags (id3.org) at the start of a file."""

from __future__ import annotations

from pathlib import Path
from typing import BinaryIO

_READ = {"TIT2", "TCOP", "TENC", "TSSE", "TPE1", "COMM", "TYER", "TDRC", "TALB", "TRCK", "TCON", "TLEN"}
"""Frames that libsndfile reads as tags, and the length, which it writes itself."""
_NAMES = {
    "APIC": "cover art", "RVA2": "ReplayGain", "RVAD": "ReplayGain", "RGAD": "ReplayGain", "CHAP": "chapters",
    "CTOC": "chapters", "USLT": "lyrics", "SYLT": "lyrics",
}  # fmt: skip
_LARGEST = 2**26


def size(handle: BinaryIO) -> int:
    """Return the size in bytes of the tag at the start of a file; 0 for none."""
    handle.seek(0)
    header = handle.read(10)
    if len(header) < 10 or header[:3] != b"ID3":
        return 0
    return 10 + _synchsafe(header[6:10]) + (10 if header[5] & 0x10 else 0)


def extras(path: Path) -> list[str]:
    """Return the names of the frames that libsndfile does not read."""
    with path.open("rb") as handle:
        length = size(handle)
        handle.seek(0)
        tag = handle.read(min(length, _LARGEST))
    found: dict[str, None] = {}
    version, position = tag[3] if tag else 0, 10
    if tag and tag[5] & 0x40:
        position += _synchsafe(tag[10:14]) if version == 4 else int.from_bytes(tag[10:14], "big") + 4
    while version in (3, 4) and position + 10 <= len(tag) and tag[position] != 0:
        name = tag[position : position + 4].decode("ascii", "backslashreplace")
        number = tag[position + 4 : position + 8]
        content = position + 10
        position = content + (_synchsafe(number) if version == 4 else int.from_bytes(number, "big"))
        if name not in _READ:
            found[_label(name, tag[content:position])] = None
    return list(found)


def _label(name: str, content: bytes) -> str:
    if name == "TXXX" and b"REPLAYGAIN" in content.replace(b"\0", b"").upper():
        return "ReplayGain"
    return _NAMES.get(name, name)


def _synchsafe(number: bytes) -> int:
    value = 0
    for byte in number:
        value = value << 7 | byte & 0x7F
    return value
