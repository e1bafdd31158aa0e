"""Files that are broken and disks that refuse: one sentence that names the file, and nothing left behind."""

from __future__ import annotations

import errno
import os
import struct
from pathlib import Path

import numpy as np
import pytest
import soundfile

from stillwave import audio
from stillwave.audio import writing
from stillwave.errors import AudioError


def speechlike(channels: int, samples: int, rate: int = 16_000) -> np.ndarray:
    time = np.arange(samples) / rate
    voice = sum(np.sin(2 * np.pi * 150 * k * time) / k for k in range(1, 8))
    return np.tile(0.1 * voice, (channels, 1)).astype(np.float32)


# What is broken


def broken(tmp_path, suffix: str, keep: float) -> Path:
    path = tmp_path / f"cut{suffix}"
    audio.write(path, speechlike(2, 48_000), 16_000)
    content = path.read_bytes()
    path.write_bytes(content[: int(len(content) * keep)])
    return path


@pytest.mark.parametrize("suffix", [".wav", ".aiff", ".flac", ".mp3", ".ogg", ".opus"])
@pytest.mark.parametrize("keep", [0, 0.0005, 0.5, 0.995])
def test_a_truncated_file_is_refused(tmp_path, suffix, keep):
    path = broken(tmp_path, suffix, keep)
    with pytest.raises(AudioError) as caught:
        audio.read(path)
    message = str(caught.value)
    assert message.startswith(f"{path}: ")
    assert "\n" not in message
    assert any(word in message for word in ("cut short", "empty", "decoded"))


def test_a_flac_file_that_ends_within_a_frame_is_named_plainly(tmp_path):
    with pytest.raises(AudioError, match=r"cannot be decoded as audio: it is damaged or cut short$"):
        audio.read(broken(tmp_path, ".flac", 0.5))


def test_truncation_is_detected_from_the_header(tmp_path):
    with pytest.raises(AudioError, match=r"cut\.\w+: cut short: \d+ bytes"):
        audio.probe(broken(tmp_path, ".wav", 0.5))
    path = broken(tmp_path, ".flac", 1)
    assert audio.probe(path).frames == 48_000


@pytest.mark.parametrize("size", [0x7FFFF000, 0xFFFFFFFF, 0xFFFFFFFF - 36])
def test_wav_from_a_pipe_has_no_stated_length(tmp_path, size):
    path = tmp_path / "a.wav"
    samples = speechlike(1, 1_000)
    audio.write(path, samples, 16_000)
    content = bytearray(path.read_bytes())
    content[40:44] = struct.pack("<I", size)
    path.write_bytes(content)
    assert audio.read(path)[0].shape == (1, 1_000)


def test_chunks_before_the_samples_are_skipped(tmp_path):
    path = tmp_path / "a.wav"
    audio.write(path, speechlike(1, 1_000), 16_000)
    content = path.read_bytes()
    content = content[:36] + b"junk" + struct.pack("<I", 3) + b"abc\0" + content[36:]
    path.write_bytes(content)
    assert audio.read(path)[0].shape == (1, 1_000)
    path.write_bytes(content[:-2])
    with pytest.raises(
        AudioError, match=r"cut short: 2 bytes are missing at its end; .* ffmpeg -i FILE rest.wav"
    ):
        audio.probe(path)


def test_an_mp3_named_wav_is_read_as_mp3(tmp_path):
    audio.write(tmp_path / "a.mp3", speechlike(1, 16_000), 16_000)
    (tmp_path / "a.mp3").rename(tmp_path / "a.wav")
    assert audio.probe(tmp_path / "a.wav").format == "MP3"
    assert audio.read(tmp_path / "a.wav")[0].shape == (1, 16_000)


def test_files_that_are_not_audio_are_refused(tmp_path):
    (tmp_path / "text.wav").write_text("not audio at all, but long enough for a header to be looked for")
    (tmp_path / "empty.wav").touch()
    soundfile.write(tmp_path / "none.wav", np.zeros((0, 1)), 16_000)
    for name, words in [
        ("text.wav", "decoded"),
        ("empty.wav", "empty"),
        ("none.wav", "no samples"),
        ("missing.wav", "no such file"),
        (".", "is a folder"),
    ]:
        with pytest.raises(AudioError, match=words) as caught:
            audio.probe(tmp_path / name)
        assert str(caught.value).startswith(f"{tmp_path / name}: ")


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read everything")
def test_a_file_that_may_not_be_read(tmp_path):
    audio.write(tmp_path / "a.wav", np.zeros(10), 16_000)
    (tmp_path / "a.wav").chmod(0)
    with pytest.raises(AudioError, match="Permission denied"):
        audio.probe(tmp_path / "a.wav")


def test_nan_in_a_file_is_refused_with_its_position(tmp_path):
    samples = np.zeros((1_000, 2), np.float32)
    samples[700, 1] = np.nan
    soundfile.write(tmp_path / "a.wav", samples, 16_000, subtype="FLOAT")
    with pytest.raises(AudioError, match=r"a\.wav: 1 value is NaN .* sample 700 of channel 1"):
        audio.read(tmp_path / "a.wav")
    with audio.open_reader(tmp_path / "a.wav") as reader, pytest.raises(AudioError, match="sample 700"):
        list(reader.blocks(300))


@pytest.mark.parametrize("start", [-1, 10, 11])
def test_a_start_outside_the_recording_is_refused(tmp_path, start):
    audio.write(tmp_path / "a.wav", np.zeros(10), 16_000)
    with pytest.raises(AudioError, match=rf"a\.wav: .*10 samples.* {start}$"):
        audio.read(tmp_path / "a.wav", start=start)


# Writing that fails


def test_an_interrupted_write_leaves_no_file(tmp_path):
    audio.write(tmp_path / "a.wav", np.ones(10) / 2, 16_000)
    before = (tmp_path / "a.wav").read_bytes()

    def begin_and(stop):
        with audio.open_writer(tmp_path / "a.wav", 16_000, 1) as writer:
            writer.write(np.zeros((1, 100_000), np.float32))
            raise stop

    for stop in (KeyboardInterrupt, RuntimeError):
        with pytest.raises(stop):
            begin_and(stop)
    assert [p.name for p in tmp_path.iterdir()] == ["a.wav"]
    assert (tmp_path / "a.wav").read_bytes() == before


def test_a_full_disk_is_reported_and_leaves_no_file(tmp_path, monkeypatch):
    def full(handle):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(AudioError, match=r"a\.wav: .*No space left on device$"):
        audio.write(tmp_path / "a.wav", np.zeros(10), 16_000)
    assert list(tmp_path.iterdir()) == []


def test_a_file_that_is_written_short_is_an_error(tmp_path, monkeypatch):
    real = soundfile.info
    monkeypatch.setattr(writing.soundfile, "info", lambda path: real(tmp_path / "short.wav"))
    soundfile.write(tmp_path / "short.wav", np.zeros(7), 16_000)
    with pytest.raises(AudioError, match=r"a\.wav: .*7 of 10 samples.*disk"):
        audio.write(tmp_path / "a.wav", np.zeros(10), 16_000)
    assert [p.name for p in tmp_path.iterdir()] == ["short.wav"]


@pytest.mark.parametrize("fault", [soundfile.LibsndfileError(2), AssertionError()])
def test_an_error_of_libsndfile_while_writing_is_reported(tmp_path, monkeypatch, fault):
    def fail(self, data):
        raise fault

    monkeypatch.setattr(soundfile.SoundFile, "write", fail)
    with pytest.raises(AudioError, match=r"a\.wav: .*disk"):
        audio.write(tmp_path / "a.wav", np.zeros(10), 16_000)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("below", ["a.wav", "deeper/a.wav"])
def test_a_folder_that_cannot_be_made(tmp_path, below):
    (tmp_path / "file").touch()
    with pytest.raises(AudioError, match=rf"file/{below}: .*/file.* is not a folder"):
        audio.write(tmp_path / "file" / below, np.zeros(10), 16_000)


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write everywhere")
def test_a_read_only_folder(tmp_path):
    tmp_path.chmod(0o500)
    with pytest.raises(AudioError, match="cannot be written"):
        audio.write(tmp_path / "a.wav", np.zeros(10), 16_000)


def test_a_limit_on_file_size_is_reported(tmp_path):
    resource = pytest.importorskip("resource")
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (50_000, hard))
    try:
        with pytest.raises(AudioError, match=r"a\.wav: .*written"):
            audio.write(tmp_path / "a.wav", np.zeros((1, 200_000), np.float32), 16_000)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert list(tmp_path.iterdir()) == []


def test_empty_signals_and_nan_are_refused(tmp_path):
    with pytest.raises(AudioError, match="no samples"):
        audio.write(tmp_path / "a.wav", np.zeros((1, 0)), 16_000)
    with pytest.raises(AudioError, match="no samples"), audio.open_writer(tmp_path / "a.wav", 16_000, 1):
        pass
    with pytest.raises(AudioError, match=r"a\.wav: .*: 1 value .*sample 2 of channel 0$"):
        audio.write(tmp_path / "a.wav", np.array([0, 0, np.nan]), 16_000)
    assert list(tmp_path.iterdir()) == []


def test_all_chunks_of_samples_are_read(tmp_path):
    path = tmp_path / "a.wav"
    samples = speechlike(1, 1_000)
    audio.write(path, samples, 16_000)
    expected, _ = audio.read(path)
    content = path.read_bytes()
    head, pcm = content[:44], content[44:]
    later = b"LIST" + struct.pack("<I", 4) + b"abcd" + b"data" + struct.pack("<I", 400) + pcm[1_600:]
    path.write_bytes(head[:40] + struct.pack("<I", 1_600) + pcm[:1_600] + later)
    assert np.array_equal(audio.read(path)[0], expected)
    assert audio.measure(path).frames == 1_000
    assert audio.probe(path).notes == ("has 2 chunks of samples, which are read in sequence",)


@pytest.mark.parametrize("suffix", [".mp3", ".wav", ".flac"])
def test_errors_while_reading_name_the_cause(tmp_path, suffix):
    """Not libsndfile's 'File does not exist' and 'Internal error'."""
    path = tmp_path / f"a{suffix}"
    path.write_bytes(b"ID3\x03\0\0\0\0\0\x64" + bytes(100))
    with pytest.raises(AudioError) as caught:
        audio.read(path)
    assert "exist" not in str(caught.value)
    audio.write(tmp_path / "b.wav", speechlike(1, 100), 16_000)
    content = (tmp_path / "b.wav").read_bytes()
    (tmp_path / "b.wav").write_bytes(content[:24] + bytes(4) + content[28:])
    with pytest.raises(AudioError, match=r"b\.wav: .*sampling rate"):
        audio.read(tmp_path / "b.wav")
