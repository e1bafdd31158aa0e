"""Read and write Vorbis comments (KEY=value in UTF-8) of FLAC, Ogg Vorbis and Opus (Vorbis I, section 5)."""

from __future__ import annotations

from collections.abc import Iterable

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
