"""The same samples give the same bytes, whenever they are written."""

from __future__ import annotations

import time

import numpy as np
import soundfile

from stillwave import audio
from stillwave.audio.formats import FORMATS
from stillwave.audio.ogg import number_streams

KINDS = [(suffix, subtype) for suffix, form in FORMATS.items() for subtype in form.subtypes]
FLOATS = [kind for kind in KINDS if kind[1] in ("FLOAT", "DOUBLE")]
NOISE = np.random.default_rng(0).uniform(-0.5, 0.5, (2, 20_000)).astype(np.float32)


def write_all(folder) -> dict[tuple[str, str], bytes]:
    found = {}
    for suffix, subtype in KINDS:
        path = folder / f"{subtype}{suffix}"
        audio.write(path, NOISE, 48_000, subtype=subtype, tags={"title": "T"})
        found[suffix, subtype] = path.read_bytes()
    return found


def test_every_format_gives_the_same_bytes_in_another_second(tmp_path) -> None:
    """libsndfile puts the time of writing into PEAK chunks, and into the serial numbers of Ogg."""
    first, second = write_all(tmp_path), int(time.time())
    while int(time.time()) == second:
        time.sleep(0.01)
    again = write_all(tmp_path)
    assert [kind for kind in KINDS if first[kind] != again[kind]] == []
    assert len(FLOATS) >= 8
    assert [kind for kind in FLOATS if b"PEAK" in first[kind] or b"peak" in first[kind]] == []


def checksum(page: bytes) -> int:
    """Of an Ogg page, bit by bit, as RFC 3533 has it."""
    crc = 0
    for byte in page[:22] + bytes(4) + page[26:]:
        crc ^= byte << 24
        for _ in range(8):
            crc = (crc << 1) ^ (0x104C11DB7 if crc & 0x80000000 else 0)
    return crc


def pages(data: bytes) -> list[bytes]:
    found, start = [], 0
    while start < len(data):
        segments = data[start + 27 : start + 27 + data[start + 26]]
        size = 27 + len(segments) + sum(segments)
        found.append(data[start : start + size])
        start += size
    return found


def test_ogg_pages_are_renumbered_with_right_checksums(tmp_path) -> None:
    """Of two streams that are joined, too: each keeps a number of its own."""
    place = tmp_path / "a.ogg"
    parts = []
    for subtype in ("VORBIS", "OPUS"):
        soundfile.write(place, NOISE.T, 48_000, subtype=subtype)
        parts.append(place.read_bytes())
    place.write_bytes(b"".join(parts))
    number_streams(place)
    counts = [len(pages(part)) for part in parts]
    renumbered = pages(place.read_bytes())
    assert [int.from_bytes(page[14:18], "little") for page in renumbered] == [1] * counts[0] + [2] * counts[1]
    assert all(checksum(page) == int.from_bytes(page[22:26], "little") for page in renumbered)
    assert [page[26:] for page in renumbered] == [page[26:] for part in parts for page in pages(part)]


def test_a_truncated_file_keeps_its_length(tmp_path) -> None:
    place = tmp_path / "a.ogg"
    soundfile.write(place, NOISE.T, 48_000)
    size = place.stat().st_size - 10
    place.write_bytes(place.read_bytes()[:size])
    number_streams(place)
    assert place.stat().st_size == size
