"""Is a file as long as its header says? libsndfile reads what there is of a truncated one without a word.

WAV, RF64, AIFF, CAF, W64, AU and NIST SPHERE state the size of their samples in bytes. Programs that write to a pipe
cannot come back to the header: they put 0 there, or the largest number.
"""

from __future__ import annotations

import os
import re
import struct
from typing import BinaryIO, Literal, NamedTuple

from stillwave.audio.metadata import riff
from stillwave.audio.views import Pieces, Span

_UNKNOWN = 0x7FFFF000
"""The smallest 32-bit size that stands for an unknown one: SoX's. ffmpeg puts more."""
_LARGEST_OGG_PAGE = 27 + 255 + 255 * 255
_W64_DATA = b"data\xf3\xac\xd3\x11\x8c\xd1\x00\xc0\x4f\x8e\xdb\x8a"

_ASF = b"0&\xb2u\x8ef\xcf\x11\xa6\xd9\0\xaa\0b\xcel"
_ASF_FILE = b"\xa1\xdc\xab\x8cG\xa9\xcf\x11\x8e\xe4\0\xc0\x0c Se"
"""Of ASF (wma, wmv): the GUIDs of its header and of the properties of the file."""

Order = Literal["little", "big"]


class Field(NamedTuple):
    """The size of the samples as a header states it."""

    position: int
    """Of the number in the file."""
    width: int
    order: Order
    stated: int
    """Bytes of samples."""
    begin: int
    """Where the samples begin."""
    added: int = 0
    """What the number counts besides the samples."""

    @property
    def unknown(self) -> bool:
        """Whether the number stands for a size that was not known."""
        if self.width == 4:
            return self.stated + self.added >= _UNKNOWN
        return self.stated + self.added >= 2**63 - 1


def missing_bytes(handle: BinaryIO) -> int:
    """How many bytes a file with a size in its header, or an Ogg file, lacks at its end; 0 for whole and other files.

    FLAC and MP3 have functions of their own. An Ogg file that ends between two pages passes: it cannot be told from a
    live recording.
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
    """The file with a header that states all of its samples; None if its own does.

    0 or the largest number before samples that go to the end of the file, and sizes of more than 4 GB of which 32 bits
    are left, stand for what there is.
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
    """Call it RF64: libsndfile reads no more than 4 GB of what calls itself WAV."""
    size = end - found.begin
    none = b"\xff" * 4
    ds64 = b"ds64" + struct.pack("<IQQQI", 28, end + 36 - 8, size, 0, 0)
    return b"RF64" + none + b"WAVE" + ds64, Span(12, found.position), none, Span(found.begin, end)


def left_over(handle: BinaryIO) -> int:
    """How many bytes follow the samples that are no chunk: a header that was not brought up to date leaves them."""
    found = _field(handle)
    if found is None or found.unknown or found.width != 4 or with_true_size(handle):
        return 0
    behind = _size(handle) - found.begin - found.stated
    return behind if behind > 1 and not _chunks(handle, found) else 0


def joined(handle: BinaryIO) -> Pieces | None:
    """A WAV file of several chunks of samples with all of them in one; None for others. libsndfile reads the last."""
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
    """Walk the chunks (name, size, padded to even) to the one that holds the samples."""
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
    """RF64 keeps 32-bit sizes of 2³² − 1, and the true ones in its first chunk."""
    found = _riff(handle, b"data", "little")
    handle.seek(12)
    head = handle.read(24)
    if found is None or found.stated < 2**32 - 1 or head[:4] != b"ds64" or len(head) < 24:
        return found
    return Field(28, 8, "little", int.from_bytes(head[16:24], "little"), found.begin)


def _caf(handle: BinaryIO) -> Field | None:
    """Chunks of name and 64-bit size; that of the samples begins with 4 bytes of its own."""
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
    """Chunks of a GUID and a 64-bit size that counts both, padded to 8. libsndfile reads them to the end by itself."""
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
    """A header of text. There is no number of bytes to change, so its position is none."""
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
    """Whether what follows the samples are chunks, to the end of the file."""
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
    """The file's size by its header; 0 for a broadcast, which does not know it."""
    handle.seek(0)
    head = handle.read(2**16)
    at = head.find(_ASF_FILE)
    if at < 0 or len(head) < at + 92 or head[at + 88] & 1:
        return 0
    return int.from_bytes(head[at + 40 : at + 48], "little")


def _lacking_page(handle: BinaryIO) -> int:
    """Look for the last page (RFC 3533, section 6) and add up the sizes of its segments."""
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
