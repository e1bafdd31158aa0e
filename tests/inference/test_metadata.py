"""Metadata of recordings: copied from WAV to WAV and from FLAC to FLAC, and reported if lost."""

from __future__ import annotations

import shutil
import struct
import subprocess
from pathlib import Path

import numpy as np
import pytest
import soundfile
from denoisers import Toy, half

from stillwave import audio
from stillwave.audio.metadata import flac, riff, vorbis
from stillwave.inference import Enhancer

RATE = 16_000
BEXT = bytearray(602)
BEXT[:4] = b"Talk"
BEXT[338:346] = (160_000).to_bytes(8, "little")
CUE = struct.pack("<IIIIIII", 1, 1, 800, 0x61746164, 0, 0, 800)
CHUNKS = {
    b"bext": bytes(BEXT),
    b"iXML": b"<BWFXML><PROJECT>x</PROJECT></BWFXML>",
    b"cue ": CUE,
    b"LIST": b"adtllabl" + struct.pack("<II", 10, 1) + b"Begin\0",
    b"id3 ": b"ID3\x03\0\0\0\0\0\0",
}
PICTURE = struct.pack(">II", 3, 9) + b"image/png" + struct.pack(">IIIIII", 0, 1, 1, 24, 0, 4) + b"\x89PNG"
CUESHEET = bytes(395) + b"\x01" + (2_001).to_bytes(8, "big") + b"\xff" + bytes(27)
"""The lead-out alone."""
COMMENTS = [b"TITLE=A talk", b"REPLAYGAIN_TRACK_GAIN=-3 dB", b"REPLAYGAIN_TRACK_PEAK=0.5", b"MOOD=calm"]


@pytest.fixture
def enhancer() -> Enhancer:
    return Enhancer(Toy(half))


def samples() -> np.ndarray:
    return 0.1 * np.random.default_rng(0).standard_normal((1, 2_001)).astype(np.float32)


def broadcast_wav(path: Path, subtype: str = "PCM_16") -> Path:
    audio.write(path, samples(), RATE, subtype=subtype, tags={"title": "A talk"})
    with path.open("r+b") as handle:
        end = handle.seek(0, 2)
        handle.write(b"\0" * (end % 2))
        for name, content in CHUNKS.items():
            handle.write(name + len(content).to_bytes(4, "little") + content + b"\0" * (len(content) % 2))
        size = handle.tell() - 8
        handle.seek(4)
        handle.write(size.to_bytes(4, "little"))
    return path


def found_in(path: Path) -> dict[bytes, bytes]:
    with path.open("rb") as handle:
        found = {}
        for chunk in list(riff.chunks(handle)):
            handle.seek(chunk.start)
            content = handle.read(chunk.size)
            name = chunk.name if content[:4] != b"INFO" else b"INFO"
            found[name] = content
    return found


def full_flac(path: Path) -> Path:
    audio.write(path, samples(), RATE)
    (kind, info), *others = blocks_in(path)
    frames = path.read_bytes()[8 + len(info) + sum(4 + len(content) for _, content in others) :]
    blocks = [
        (kind, info),
        (4, vorbis.packed(COMMENTS)),
        (6, PICTURE),
        (0x80 | 5, CUESHEET),
    ]  # 0x80: the last
    parts = [bytes([kind]) + len(content).to_bytes(3, "big") + content for kind, content in blocks]
    path.write_bytes(b"fLaC" + b"".join(parts) + frames)
    return path


def blocks_in(path: Path) -> list[tuple[int, bytes]]:
    content = path.read_bytes()
    with path.open("rb") as handle:
        return [(b.kind, content[b.start : b.start + b.size]) for b in flac.blocks(handle)]


@pytest.mark.parametrize("subtype", ["PCM_16", "PCM_24", "FLOAT"])
def test_every_chunk_goes_from_wav_to_wav(tmp_path, enhancer, subtype):
    source = broadcast_wav(tmp_path / "a.wav", subtype)
    report = enhancer.enhance_file(source, tmp_path / "b.wav")
    found = found_in(tmp_path / "b.wav")
    assert {name: found[name] for name in CHUNKS} == CHUNKS
    assert b"A talk" in found[b"INFO"]
    assert report.lost_tags == ()
    size = (tmp_path / "b.wav").stat().st_size
    assert int.from_bytes((tmp_path / "b.wav").read_bytes()[4:8], "little") == size - 8
    info = audio.probe(tmp_path / "b.wav")
    assert (info.frames, info.subtype, info.tags["title"]) == (2_001, subtype, "A talk")
    assert np.abs(audio.read(tmp_path / "b.wav")[0] - samples() / 2).max() < 2**-14


def test_at_another_rate_positions_are_lost_and_the_time_is_scaled(tmp_path, enhancer):
    report = enhancer.enhance_file(broadcast_wav(tmp_path / "a.wav"), tmp_path / "b.wav", rate_out=8_000)
    found = found_in(tmp_path / "b.wav")
    assert report.lost_tags == ("cue points", "cue labels")
    assert b"cue " not in found
    assert int.from_bytes(found[b"bext"][338:346], "little") == 80_000
    assert found[b"iXML"] == CHUNKS[b"iXML"]


@pytest.mark.parametrize("suffix", [".flac", ".mp3", ".ogg", ".aiff"])
def test_metadata_that_another_format_cannot_store_is_reported(tmp_path, enhancer, suffix):
    report = enhancer.enhance_file(broadcast_wav(tmp_path / "a.wav"), tmp_path / f"b{suffix}")
    assert report.lost_tags == ("bext", "iXML", "cue points", "cue labels", "ID3 tags")
    assert audio.probe(tmp_path / f"b{suffix}").tags["title"] == "A talk"


def test_pictures_and_comments_go_from_flac_to_flac(tmp_path, enhancer):
    source = full_flac(tmp_path / "a.flac")
    report = enhancer.enhance_file(source, tmp_path / "b.flac")
    assert report.lost_tags == ()
    assert flac.comments(tmp_path / "b.flac") == [
        ("TITLE", "A talk"), ("REPLAYGAIN_TRACK_GAIN", "-3 dB"), ("REPLAYGAIN_TRACK_PEAK", "0.5"), ("MOOD", "calm"),
    ]  # fmt: skip
    kinds = dict(blocks_in(tmp_path / "b.flac"))
    assert kinds[6] == PICTURE
    assert 5 in kinds
    assert next(iter(kinds)) == 0
    assert np.abs(audio.read(tmp_path / "b.flac")[0] - samples() / 2).max() < 2**-14
    if shutil.which("flac"):
        subprocess.run(["flac", "-ts", tmp_path / "b.flac"], check=True)


def test_lost_metadata_of_flac_is_reported(tmp_path, enhancer):
    source = full_flac(tmp_path / "a.flac")
    report = enhancer.enhance_file(source, tmp_path / "b.wav")
    assert sorted(report.lost_tags) == ["MOOD", "ReplayGain", "cover art", "cue sheet"]
    report = enhancer.enhance_file(source, tmp_path / "c.flac", rate_out=8_000)
    assert report.lost_tags == ("cue sheet",)


@pytest.mark.parametrize("suffix", [".ogg", ".opus", ".mp3"])
def test_lost_metadata_of_lossy_files_is_reported(tmp_path, enhancer, suffix):
    path = tmp_path / f"a{suffix}"
    audio.write(path, samples(), RATE, tags={"title": "A talk"})
    if suffix == ".mp3":
        frames = [
            (b"APIC", b"\0image/png\0\3\0\x89PNG"),
            (b"TXXX", b"\0REPLAYGAIN_TRACK_GAIN\0-3 dB"),
            (b"TBPM", b"\0" + b"90"),
        ]
        tag = b"".join(name + len(body).to_bytes(4, "big") + b"\0\0" + body for name, body in frames)
        head = b"ID3\x03\0\0" + bytes([0, 0, len(tag) >> 7, len(tag) & 127])
        content = path.read_bytes()
        path.write_bytes(
            head + tag + content[content.index(b"\xff\xfb" if b"\xff\xfb" in content else b"\xff\xf3") :]
        )
        wanted = ["ReplayGain", "TBPM", "cover art"]
    elif not shutil.which("ffmpeg"):
        pytest.skip("ffmpeg writes the comments here")
    else:
        tagged = tmp_path / f"tagged{suffix}"
        more = ["-metadata", "REPLAYGAIN_TRACK_GAIN=-3 dB", "-metadata", "MOOD=calm"]
        subprocess.run(["ffmpeg", "-v", "error", "-i", path, "-c", "copy", *more, tagged], check=True)
        path, wanted = tagged, ["MOOD", "ReplayGain"]
    assert sorted(enhancer.enhance_file(path, tmp_path / "b.wav").lost_tags) == wanted


def test_damaged_metadata_is_ignored(tmp_path, enhancer):
    for cut in range(0, 900, 37):
        content = bytearray(broadcast_wav(tmp_path / "a.wav").read_bytes())
        content[-cut - 4 : -cut or None] = b"\xff" * 4
        (tmp_path / "a.wav").write_bytes(content)
        enhancer.enhance_file(tmp_path / "a.wav", tmp_path / "b.wav", overwrite=True)
        assert audio.probe(tmp_path / "b.wav").frames == 2_001


def test_a_file_may_replace_itself_and_keep_its_metadata(tmp_path, enhancer):
    source = broadcast_wav(tmp_path / "a.wav")
    enhancer.enhance_file(source, source, overwrite=True)
    assert found_in(source)[b"bext"] == CHUNKS[b"bext"]
    soundfile.read(source)
