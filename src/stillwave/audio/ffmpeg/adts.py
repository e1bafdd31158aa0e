"""Find out whether a raw AAC stream ends within a frame, which ffmpeg does not report.

An ADTS frame (ISO/IEC 13818-7) starts with twelve set bits and states its length in bytes. The stream has no header.
"""

from __future__ import annotations

from pathlib import Path

_TAIL = 2**17
"""Bytes at the end that are read: several of the longest frames, which have 8191 bytes."""
_HEADER = 7
_SURE = 3
"""Consecutive frames that confirm the first one."""


def ends_within_frame(path: Path) -> bool:
    """Return whether the last frame of a raw AAC file is incomplete; False if no frames are found."""
    with path.open("rb") as handle:
        size = handle.seek(0, 2)
        handle.seek(max(0, size - _TAIL))
        data = handle.read()
    if data[-128:-125] == b"TAG":
        data = data[:-128]
    for start in range(len(data) - _HEADER):
        count, end = _follow(data, start)
        if count >= _SURE:
            return end > len(data) or data[end : end + 1] == b"\xff"
    return False


def _follow(data: bytes, position: int) -> tuple[int, int]:
    """Return the number of consecutive frames from `position` on, and where the last one ends."""
    count = 0
    while length := _length(data, position):
        count, position = count + 1, position + length
    return count, position


def _length(data: bytes, position: int) -> int:
    """Return the length of the frame at `position`; 0 if there is no header."""
    head = data[position : position + _HEADER]
    if len(head) < _HEADER or head[0] != 0xFF or head[1] & 0xF6 != 0xF0:
        return 0
    length = (head[3] & 3) << 11 | head[4] << 3 | head[5] >> 5
    return length if length >= _HEADER else 0
