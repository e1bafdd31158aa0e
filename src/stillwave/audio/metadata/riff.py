"""Chunks of WAV files: which there are, the channel mask, and copies of what is neither samples nor their format."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

_ROUTINE = (b"fmt ", b"data", b"fact", b"PEAK", b"ds64", b"JUNK", b"junk", b"PAD ", b"FLLR", b"levl")
"""What belongs to the samples of this very file, or only takes up room."""
_IN_SAMPLES = ("cue points", "cue labels", "smpl", "plst")
"""What states positions in samples, and so holds for one sampling rate."""
_NAMES = {b"cue ": "cue points", b"id3 ": "ID3 tags", b"ID3 ": "ID3 tags", b"_PMX": "XMP"}
_READ = (b"INAM", b"ICOP", b"ISFT", b"IART", b"ICMT", b"ICRD", b"IPRD", b"ITRK", b"IGNR")
"""Entries of LIST INFO that libsndfile hands over as tags."""
_EXTENSIBLE = 0xFFFE
_IN_BLOCKS = (0x0002, 0x0011, 0x0031)
"""Formats whose samples come in blocks: ADPCM of Microsoft and of IMA, GSM 6.10."""
_TIME_REFERENCE = 338
"""Where bext states the time of the first sample since midnight, in samples, as 64 bits (EBU Tech 3285)."""
_LARGEST = 2**32 - 1


@dataclass(frozen=True)
class Chunk:
    """`size` bytes at `start`, without name and length."""

    name: bytes
    start: int
    size: int


def chunks(handle: BinaryIO) -> Iterator[Chunk]:
    """Walk the chunks of a little-endian WAV (RIFF, RF64, BW64); nothing for another file."""
    handle.seek(0)
    head = handle.read(12)
    if head[:4] not in (b"RIFF", b"RF64", b"BW64") or head[8:] != b"WAVE":
        return
    total, position, data_size = handle.seek(0, 2), 12, None
    while position + 8 <= total:
        handle.seek(position)
        name, size = handle.read(4), int.from_bytes(handle.read(4), "little")
        if not all(32 <= byte < 127 for byte in name):
            return  # no chunk, but samples behind a wrong length, or padding
        if name == b"ds64":
            data_size = int.from_bytes(handle.read(16)[8:], "little")
        if name == b"data" and size == _LARGEST and data_size is not None:
            size = data_size
        start = position + 8
        yield Chunk(name, start, min(size, total - start))
        position = start + size + size % 2


def channel_mask(path: Path) -> int:
    """The channel mask that a WAV file states; 0 where it states none."""
    with path.open("rb") as handle:
        for chunk in chunks(handle):
            if chunk.name == b"fmt " and chunk.size >= 24:
                content = _content(handle, chunk, 24)
                extensible = int.from_bytes(content[:2], "little") == _EXTENSIBLE
                return int.from_bytes(content[20:24], "little") if extensible else 0
    return 0


def stated_samples(handle: BinaryIO) -> int | None:
    """How many samples per channel a WAV file in blocks (ADPCM, GSM 6.10) states, where that can be true.

    The last block is filled up, so the number may be less than its blocks hold, but by less than two (libsndfile adds
    an empty one). Programs are known that state another number; it is not believed.
    """
    found = {chunk.name: chunk for chunk in chunks(handle)}
    if not {b"fmt ", b"fact", b"data"} <= found.keys():
        return None
    form = _content(handle, found[b"fmt "], 20)
    if int.from_bytes(form[:2], "little") not in _IN_BLOCKS or len(form) < 20:
        return None
    block, samples = int.from_bytes(form[12:14], "little"), int.from_bytes(form[18:20], "little")
    stated = int.from_bytes(_content(handle, found[b"fact"], 4), "little")
    held = -(-found[b"data"].size // block) * samples if block else 0
    return stated if 0 < held - 2 * samples < stated <= held else None


def set_channel_mask(path: Path, mask: int) -> None:
    """State another mask in a file that is WAVE_FORMAT_EXTENSIBLE already; no change to another file."""
    with path.open("r+b") as handle:
        for chunk in chunks(handle):
            if chunk.name == b"fmt " and int.from_bytes(_content(handle, chunk, 2), "little") == _EXTENSIBLE:
                handle.seek(chunk.start + 20)
                handle.write(mask.to_bytes(4, "little"))
                return


def extras(path: Path) -> list[str]:
    """The names of what a WAV file holds beside samples and those tags that libsndfile reads."""
    with path.open("rb") as handle:
        return [name for chunk in chunks(handle) for name in _names(handle, chunk)]


def copy_extras(source: Path, target: Path, rate_in: int, rate_out: int) -> list[str]:
    """Append the chunks of one WAV file that are not its samples' to another; the names of those left out.

    Positions in samples are left out where the rate differs; the time reference of bext is brought to the new rate.
    """
    lost: list[str] = []
    with source.open("rb") as read, target.open("r+b") as write:
        for chunk in chunks(read):
            names = _names(read, chunk) or ([""] if _kind(read, chunk) == b"LIST INFO" else [])
            end = write.seek(0, 2)
            if not names:
                continue
            if (rate_in != rate_out and set(names) & set(_IN_SAMPLES)) or end + chunk.size + 9 > _LARGEST:
                lost += [name for name in names if name]
                continue
            write.write(b"\0" * (end % 2) + chunk.name + chunk.size.to_bytes(4, "little"))
            place = write.tell()
            read.seek(chunk.start)
            _copy(read, write, chunk.size)
            write.write(b"\0" * (chunk.size % 2))
            if chunk.name == b"bext" and rate_in != rate_out:
                _rescale_time(write, place, chunk.size, rate_in, rate_out)
        _set_size(write)
    return lost


def _rescale_time(handle: BinaryIO, place: int, size: int, rate_in: int, rate_out: int) -> None:
    if size < _TIME_REFERENCE + 8:
        return
    handle.seek(place + _TIME_REFERENCE)
    time = round(int.from_bytes(handle.read(8), "little") * rate_out / rate_in)
    handle.seek(place + _TIME_REFERENCE)
    handle.write((time % 2**64).to_bytes(8, "little"))


def _set_size(handle: BinaryIO) -> None:
    size = handle.seek(0, 2) - 8
    handle.seek(0)
    if handle.read(4) == b"RIFF":
        handle.write(size.to_bytes(4, "little"))
    else:  # 64 bits behind the name and length of ds64, which comes first
        handle.seek(20)
        handle.write(size.to_bytes(8, "little"))


def _copy(read: BinaryIO, write: BinaryIO, size: int) -> None:
    while size:
        block = read.read(min(size, 2**20))
        if not block:
            raise OSError("the file ends within a chunk")
        write.write(block)
        size -= len(block)


def _kind(handle: BinaryIO, chunk: Chunk) -> bytes:
    """A chunk's name, of lists with their type."""
    return chunk.name if chunk.name != b"LIST" else b"LIST " + _content(handle, chunk, 4)


def _names(handle: BinaryIO, chunk: Chunk) -> list[str]:
    if chunk.name in _ROUTINE or not chunk.size:
        return []
    kind = _kind(handle, chunk)
    if kind == b"LIST adtl":
        return ["cue labels"]
    if kind == b"LIST INFO":
        return [_text(name) for name in _entries(_content(handle, chunk, 2**16)[4:]) if name not in _READ]
    return [_NAMES.get(chunk.name, _text(kind))]


def _entries(info: bytes) -> Iterator[bytes]:
    position = 0
    while position + 8 <= len(info):
        size = int.from_bytes(info[position + 4 : position + 8], "little")
        yield info[position : position + 4]
        position += 8 + size + size % 2


def _content(handle: BinaryIO, chunk: Chunk, most: int) -> bytes:
    handle.seek(chunk.start)
    return handle.read(min(chunk.size, most))


def _text(name: bytes) -> str:
    return name.decode("ascii", "backslashreplace").strip()
