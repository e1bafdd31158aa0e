"""Read and copy chunks of WAV files, read and write the channel mask; list the chunks of AIFF files."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

_ROUTINE = (b"fmt ", b"data", b"fact", b"PEAK", b"ds64", b"JUNK", b"junk", b"PAD ", b"FLLR", b"levl")
"""Chunks that belong to the samples of one file, and padding."""
_IN_SAMPLES = ("cue points", "cue labels", "smpl", "plst")
"""Chunks with positions in samples, which hold for one sampling rate."""
_NAMES = {b"cue ": "cue points", b"id3 ": "ID3 tags", b"ID3 ": "ID3 tags", b"_PMX": "XMP"}
_READ = (b"INAM", b"ICOP", b"ISFT", b"IART", b"ICMT", b"ICRD", b"IPRD", b"ITRK", b"IGNR")
"""Entries of LIST INFO that libsndfile reads as tags."""
_EXTENSIBLE = 0xFFFE
_IN_BLOCKS = (0x0002, 0x0011, 0x0031)
"""Formats with blocks of samples: Microsoft ADPCM, IMA ADPCM, GSM 6.10."""
_TIME_REFERENCE = 338
"""Offset in bext of the time of the first sample since midnight: 64 bits, in samples (EBU Tech 3285)."""
_LARGEST = 2**32 - 1


@dataclass(frozen=True)
class Chunk:
    """A chunk of `size` bytes at `start`, without its name and length."""

    name: bytes
    start: int
    size: int


def chunks(handle: BinaryIO) -> Iterator[Chunk]:
    """Yield the chunks of a little-endian WAV file (RIFF, RF64, BW64); none for another file."""
    handle.seek(0)
    head = handle.read(12)
    if head[:4] not in (b"RIFF", b"RF64", b"BW64") or head[8:] != b"WAVE":
        return
    total, position, data_size = handle.seek(0, 2), 12, None
    while position + 8 <= total:
        handle.seek(position)
        name, size = handle.read(4), int.from_bytes(handle.read(4), "little")
        if not all(32 <= byte < 127 for byte in name):
            return  # samples after a wrong length, or padding
        if name == b"ds64":
            data_size = int.from_bytes(handle.read(16)[8:], "little")
        if name == b"data" and size == _LARGEST and data_size is not None:
            size = data_size
        start = position + 8
        yield Chunk(name, start, min(size, total - start))
        position = start + size + size % 2


def channel_mask(path: Path) -> int:
    """Return the channel mask of a WAV file; 0 for none."""
    with path.open("rb") as handle:
        for chunk in chunks(handle):
            if chunk.name == b"fmt " and chunk.size >= 24:
                content = _content(handle, chunk, 24)
                extensible = int.from_bytes(content[:2], "little") == _EXTENSIBLE
                return int.from_bytes(content[20:24], "little") if extensible else 0
    return 0


def stated_samples(handle: BinaryIO) -> int | None:
    """Return the samples per channel in the header of a WAV file with blocks (ADPCM, GSM 6.10); None if implausible.

    The last block is padded and libsndfile adds an empty one, so the number may be lower than that of the blocks by
    less than two blocks. Some programs write other numbers.
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
    """Write a channel mask into a WAVE_FORMAT_EXTENSIBLE file; other files stay unchanged."""
    with path.open("r+b") as handle:
        for chunk in chunks(handle):
            if chunk.name == b"fmt " and int.from_bytes(_content(handle, chunk, 2), "little") == _EXTENSIBLE:
                handle.seek(chunk.start + 20)
                handle.write(mask.to_bytes(4, "little"))
                return


def extras(path: Path) -> list[str]:
    """Return the names of the chunks that libsndfile does not read."""
    with path.open("rb") as handle:
        return [name for chunk in chunks(handle) for name in _names(handle, chunk)]


def copy_extras(source: Path, target: Path, rate_in: int, rate_out: int) -> list[str]:
    """Append the metadata chunks of a WAV file to another; return the names of what is left out.

    Positions in samples are left out if the rates differ; the time reference of bext is converted to the new rate.
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
    else:  # 64 bits after the name and length of ds64, which is the first chunk
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
    """Return the name of a chunk, with the type for lists."""
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


_AIFF_READ = (b"COMM", b"SSND", b"FVER", b"PEAK", b"NAME", b"AUTH", b"(c) ", b"ANNO")
"""Chunks of the samples, and texts that libsndfile reads as tags."""
_AIFF_NAMES = {b"MARK": "markers", b"INST": "loops (INST)", b"ID3 ": "ID3 tags", b"CHAN": "channel layout"}


def aiff_extras(path: Path) -> list[str]:
    """Return the names of the chunks of an AIFF file that libsndfile does not read."""
    found: list[str] = []
    with path.open("rb") as handle:
        total = handle.seek(0, 2)
        handle.seek(0)
        head = handle.read(12)
        position = 12 if head[:4] == b"FORM" else total
        while position + 8 <= total:
            handle.seek(position)
            name, size = handle.read(4), int.from_bytes(handle.read(4), "big")
            if name not in _AIFF_READ:
                found.append(_AIFF_NAMES.get(name, name.decode("ascii", "backslashreplace").strip()))
            position += 8 + size + size % 2
    return found
