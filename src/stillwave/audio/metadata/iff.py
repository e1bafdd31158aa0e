"""List the chunks of AIFF files."""

from __future__ import annotations

from pathlib import Path

_KEPT = (b"COMM", b"SSND", b"FVER", b"PEAK", b"NAME", b"AUTH", b"(c) ", b"ANNO")
"""Chunks of the samples, and texts that libsndfile reads as tags."""
_NAMES = {b"MARK": "markers", b"INST": "loops (INST)", b"ID3 ": "ID3 tags", b"CHAN": "channel layout"}


def extras(path: Path) -> list[str]:
    """Return the names of the chunks that libsndfile does not read."""
    found: list[str] = []
    with path.open("rb") as handle:
        total = handle.seek(0, 2)
        handle.seek(0)
        head = handle.read(12)
        position = 12 if head[:4] == b"FORM" else total
        while position + 8 <= total:
            handle.seek(position)
            name, size = handle.read(4), int.from_bytes(handle.read(4), "big")
            if name not in _KEPT:
                found.append(_NAMES.get(name, name.decode("ascii", "backslashreplace").strip()))
            position += 8 + size + size % 2
    return found
