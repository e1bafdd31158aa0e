"""Recordings of a folder: what is used, held out, skipped with a reason, and read again."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import soundfile
from place import RATE, recording, write_place

from stillwave.adaptation.recordings import PIECE, collect
from stillwave.audio import write
from stillwave.errors import StillwaveError


def test_whole_recordings_are_held_out(tmp_path: Path):
    found = collect(write_place(tmp_path / "place"), tmp_path, 0)
    assert [one.held_out for one in found.stretches] == [False] * 5 + [True]
    assert (found.seconds(held_out=False), found.seconds(held_out=True)) == (80.0, 16.0)
    for one in found.stretches:
        expected = recording(16.0, int(one.name[0]))
        np.testing.assert_allclose(found.samples[one.start : one.start + one.frames], expected, atol=1e-4)


def test_of_one_file_the_last_fifth_is_held_out(tmp_path: Path):
    found = collect(write_place(tmp_path / "place", 1, 70.0), tmp_path, 0)
    assert [(one.start, one.frames, one.held_out) for one in found.stretches] == [
        (0, 56 * RATE, False),
        (56 * RATE, 14 * RATE, True),
    ]


def test_the_seed_chooses_what_is_held_out(tmp_path: Path):
    folder = write_place(tmp_path / "place")
    held = {collect(folder, tmp_path / str(seed), seed).stretches[-1].name for seed in range(6)}
    assert len(held) > 1


def test_unusable_recordings_are_counted_with_the_reason(tmp_path: Path):
    folder = write_place(tmp_path / "place", 5)
    write(folder / "silent.wav", np.zeros((1, 5 * RATE), np.float32), RATE)
    write(folder / "short.wav", recording(1.0)[None], RATE)
    (folder / "damaged.wav").write_bytes(b"RIFFnothing")
    nan = recording(5.0)
    nan[RATE] = np.nan
    soundfile.write(folder / "nan.wav", nan, RATE, "FLOAT")
    (folder / "notes.txt").write_text("not a recording")
    found = collect(folder, tmp_path, 0)
    assert len(found.stretches) == 5
    reasons = sorted(sentence.rpartition("/")[2] for sentence in found.unusable)
    assert [reason.split(":")[0] for reason in reasons] == [
        "damaged.wav",
        "nan.wav",
        "short.wav",
        "silent.wav",
    ]
    assert "lasts 1.0 s; it must last 2 s" in reasons[2]
    assert "is silent" in reasons[3]
    assert len(found.samples) == 5 * 16 * RATE, "nothing of them is left in the file"


def test_half_of_a_folder_unreadable_is_used_if_enough_is_left(tmp_path: Path):
    folder = write_place(tmp_path / "place", 5)
    for number in range(5):
        (folder / f"bad{number}.wav").write_bytes(b"RIFF")
    assert len(collect(folder, tmp_path, 0).unusable) == 5


def test_too_little_is_refused_with_the_reason(tmp_path: Path):
    folder = write_place(tmp_path / "place", 2)
    (folder / "bad.wav").write_bytes(b"RIFF")
    with pytest.raises(
        StillwaveError, match=r"32 s of recordings can be used, and 60 s are needed \(1 of 3 files"
    ):
        collect(folder, tmp_path, 0)


@pytest.mark.parametrize("kind", ["missing", "empty"])
def test_no_recordings(tmp_path: Path, kind: str):
    folder = tmp_path / "place"
    if kind == "empty":
        folder.mkdir()
    with pytest.raises(StillwaveError, match="give the folder with the recordings of the place"):
        collect(folder, tmp_path, 0)


def test_at_most_an_hour_is_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr("stillwave.adaptation.recordings.MOST_S", 70.0)
    found = collect(write_place(tmp_path / "place", 8), tmp_path, 0)
    assert len(found.samples) == 70 * RATE
    assert found.unread == 3


def test_outputs_below_the_folder_are_left_out(tmp_path: Path):
    folder = write_place(tmp_path / "place", 5)
    write_place(folder / "student", 2)
    assert len(collect(folder, tmp_path, 0, folder / "student").stretches) == 5


def test_other_rates_and_channels(tmp_path: Path):
    folder = tmp_path / "place"
    folder.mkdir()
    samples = np.stack([np.repeat(recording(70.0), 3), np.zeros(210 * RATE, np.float32)])
    write(folder / "48k.wav", samples, 3 * RATE)
    found = collect(folder, tmp_path, 0)
    assert len(found.samples) == 70 * RATE
    assert np.abs(found.samples).max() > 0.15


def test_what_was_read_is_used_again_until_a_file_changes(tmp_path: Path):
    folder = write_place(tmp_path / "place")
    first = collect(folder, tmp_path, 0)
    written = (tmp_path / "recordings.f32").stat().st_mtime_ns
    assert collect(folder, tmp_path, 0).digest == first.digest
    assert (tmp_path / "recordings.f32").stat().st_mtime_ns == written
    (folder / "0.wav").unlink()
    write(folder / "0.wav", recording(20.0)[None], RATE)
    assert collect(folder, tmp_path, 0).digest != first.digest
    assert (tmp_path / "recordings.f32").stat().st_mtime_ns != written


def test_a_piece_is_two_seconds():
    assert PIECE == 2 * RATE
