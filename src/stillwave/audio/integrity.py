"""Compare the size in a header with that of the file: libsndfile reads truncated files without an error.

WAV, RF64, AIFF, CAF, W64, AU and NIST SPHERE state the size of their samples in bytes. Programs that write to a pipe
cannot update the header and write 0 or the largest number.
"""

from __future__ import annotations

import os
import re
import struct
from typing import BinaryIO, Literal, NamedTuple

from stillwave.audio.metadata import riff
from stillwave.audio.views import Pieces, Span

_UNKNOWN = 0x7FFFF000
"""The smallest 32-bit number that means an unknown size (SoX; that of ffmpeg is larger)."""
_LARGEST_OGG_PAGE = 27 + 255 + 255 * 255
_W64_DATA = b"data\xf3\xac\xd3\x11\x8c\xd1\x00\xc0\x4f\x8e\xdb\x8a"

_ASF = b"0&\xb2u\x8ef\xcf\x11\xa6\xd9\0\xaa\0b\xcel"
_ASF_FILE = b"\xa1\xdc\xab\x8cG\xa9\xcf\x11\x8e\xe4\0\xc0\x0c Se"
"""GUIDs of ASF (wma, wmv): the header, and the file properties."""

Order = Literal["little", "big"]


class Field(NamedTuple):
    """The size of the samples in a header."""

    position: int
    """Offset of the number in the file."""
    width: int
    order: Order
    stated: int
    """Bytes of samples."""
    begin: int
    """Offset of the samples."""
    added: int = 0
    """Bytes that the number counts in addition to the samples."""

    @property
    def unknown(self) -> bool:
        """Whether the number means an unknown size."""
        if self.width == 4:
            return self.stated + self.added >= _UNKNOWN
        return self.stated + self.added >= 2**63 - 1


def missing_bytes(handle: BinaryIO) -> int:
    """Return how many bytes are missing at the end of a file by its header or last Ogg page; 0 for complete files.

    FLAC and MP3 are checked in modules of their own. An Ogg file that ends between two pages passes: live recordings
    may end there too.
    """
    handle.seek(0)
    head = handle.read(16)
    if head[:4] == b"OggS":
        return _lacking_page(handle)
    if head == _ASF:
        return max(0, _asf_size(handle) - _size(handle))
    found = _field(handle)
    if found is None or found.unknown:
        return 0
    return max(0, found.begin + found.stated - _size(handle))


def with_true_size(handle: BinaryIO) -> Pieces | None:
    """Return the file with a header that states all of its samples; None if its own header does.

    A size of 0 or the largest number, and one of more than 4 GB truncated to 32 bits, is replaced by the size up to
    the end of the file.
    """
    found = _field(handle)
    if found is None:
        return None
    end = _size(handle)
    held = end - found.begin
    wrapped = found.width == 4 and held > found.stated and (held - found.stated) % 2**32 == 0
    empty = found.stated <= 0 < held and not _chunks(handle, found)
    large = found.width == 4 and held >= 2**32 - 1 and (wrapped or found.unknown or empty)
    if large and found.order == "little":
        return _as_rf64(found, end)
    if large or empty or (found.unknown and found.width == 8):
        value = min(held + found.added, 2 ** (8 * found.width) - 1).to_bytes(found.width, found.order)
        return Span(0, found.position), value, Span(found.position + found.width, end)
    return None


def _as_rf64(found: Field, end: int) -> Pieces:
    """Return the file with an RF64 header: libsndfile reads at most 4 GB of a WAV file."""
    size = end - found.begin
    none = b"\xff" * 4
    ds64 = b"ds64" + struct.pack("<IQQQI", 28, end + 36 - 8, size, 0, 0)
    return b"RF64" + none + b"WAVE" + ds64, Span(12, found.position), none, Span(found.begin, end)


def left_over(handle: BinaryIO) -> int:
    """Return how many bytes after the samples belong to no chunk, as a header that was not updated leaves them."""
    found = _field(handle)
    if found is None or found.unknown or found.width != 4 or with_true_size(handle):
        return 0
    behind = _size(handle) - found.begin - found.stated
    return behind if behind > 1 and not _chunks(handle, found) else 0


def joined(handle: BinaryIO) -> Pieces | None:
    """Return a WAV file of several data chunks with one data chunk; None for others. libsndfile reads the last only."""
    found = [chunk for chunk in riff.chunks(handle) if chunk.name == b"data"]
    size = sum(chunk.size for chunk in found)
    if len(found) < 2 or size >= _UNKNOWN:
        return None
    spans = [Span(chunk.start, chunk.start + chunk.size) for chunk in found]
    return Span(0, found[0].start - 4), size.to_bytes(4, "little"), *spans


def _field(handle: BinaryIO) -> Field | None:
    handle.seek(0)
    head = handle.read(16)
    if head[:4] in (b"RIFF", b"RIFX") and head[8:12] == b"WAVE":
        return _riff(handle, b"data", "little" if head[:4] == b"RIFF" else "big")
    if head[:4] == b"RF64" and head[8:12] == b"WAVE":
        return _rf64(handle)
    if head[:4] == b"FORM" and head[8:12] in (b"AIFF", b"AIFC"):
        found = _riff(handle, b"SSND", "big")
        return found and found._replace(begin=found.begin + 8, stated=found.stated - 8, added=8)
    if head[:4] == b"caff":
        return _caf(handle)
    if head[:4] == b".snd":
        return Field(8, 4, "big", int.from_bytes(head[8:12], "big"), int.from_bytes(head[4:8], "big"))
    if head[:4] == b"riff":
        return _w64(handle)
    return _nist(handle) if head[:7] == b"NIST_1A" else None


def _size(handle: BinaryIO) -> int:
    return handle.seek(0, os.SEEK_END)


def _riff(handle: BinaryIO, wanted: bytes, order: Order) -> Field | None:
    """Find the chunk of the samples; chunks are padded to even sizes."""
    total = _size(handle)
    position = 12
    while position + 8 <= total:
        handle.seek(position)
        name = handle.read(4)
        size = int.from_bytes(handle.read(4), order)
        position += 8
        if name == wanted:
            return Field(position - 4, 4, order, size, position)
        position += size + size % 2
    return None


def _rf64(handle: BinaryIO) -> Field | None:
    """Read the 64-bit size from the first chunk if the 32-bit size is 2³² − 1."""
    found = _riff(handle, b"data", "little")
    handle.seek(12)
    head = handle.read(24)
    if found is None or found.stated < 2**32 - 1 or head[:4] != b"ds64" or len(head) < 24:
        return found
    return Field(28, 8, "little", int.from_bytes(head[16:24], "little"), found.begin)


def _caf(handle: BinaryIO) -> Field | None:
    """Find the chunk of the samples; sizes have 64 bits, and the samples follow 4 bytes."""
    total = _size(handle)
    position = 8
    while position + 12 <= total:
        handle.seek(position)
        name = handle.read(4)
        size = int.from_bytes(handle.read(8), "big")
        position += 12
        if name == b"data":
            return Field(position - 8, 8, "big", size - 4, position + 4, 4)
        position += size
    return None


def _w64(handle: BinaryIO) -> Field | None:
    """Find the chunk of the samples: a GUID and a 64-bit size that counts both, padded to 8 bytes."""
    total = _size(handle)
    position = 40
    while position + 24 <= total:
        handle.seek(position)
        name = handle.read(16)
        size = int.from_bytes(handle.read(8), "little")
        if name == _W64_DATA:
            return Field(position + 16, 8, "little", size - 24, position + 24, 24)
        position += max(24, size + -size % 8)
    return None


def _nist(handle: BinaryIO) -> Field | None:
    """Read the text header; it has no number of bytes that could be replaced."""
    handle.seek(0)
    text = handle.read(1024).decode("latin-1")
    numbers = {name: int(value) for name, value in re.findall(r"^(\w+) -i (\d+)", text, re.MULTILINE)}
    begin = re.match(r"NIST_1A\s+(\d+)", text)
    names = ("sample_count", "channel_count", "sample_n_bytes")
    if begin is None or any(name not in numbers for name in names):
        return None
    size = 1
    for name in names:
        size *= numbers[name]
    return Field(0, 0, "little", size, int(begin[1])) if size else None


def _chunks(handle: BinaryIO, found: Field) -> bool:
    """Return whether the samples are followed by chunks up to the end of the file."""
    total = _size(handle)
    position = found.begin + max(0, found.stated)
    position += position % 2 if found.width == 4 else 0
    while position + 8 <= total:
        handle.seek(position)
        name = handle.read(4)
        position += (12 if found.width == 8 else 8) + int.from_bytes(
            handle.read(8 if found.width == 8 else 4), found.order
        )
        if not all(32 <= byte < 127 for byte in name) or position > total + 1:
            return False
        position += position % 2 if found.width == 4 else 0
    return True


def _asf_size(handle: BinaryIO) -> int:
    """Return the size of the file in its header; 0 for a broadcast, whose size is unknown."""
    handle.seek(0)
    head = handle.read(2**16)
    at = head.find(_ASF_FILE)
    if at < 0 or len(head) < at + 92 or head[at + 88] & 1:
        return 0
    return int.from_bytes(head[at + 40 : at + 48], "little")


def _lacking_page(handle: BinaryIO) -> int:
    """Return the missing bytes of the last page (RFC 3533, section 6)."""
    total = _size(handle)
    handle.seek(max(0, total - _LARGEST_OGG_PAGE))
    tail = handle.read()
    start = tail.rfind(b"OggS")
    if start < 0:
        return 0
    page = tail[start:]
    if len(page) < 27 or len(page) < 27 + page[26]:
        return 27 - len(page) if len(page) < 27 else 27 + page[26] - len(page)
    return max(0, 27 + page[26] + sum(page[27 : 27 + page[26]]) - len(page))
