"""The challenge's score and its folder."""

from __future__ import annotations

import zipfile

import numpy as np
import pytest
import soundfile
from fake_recognisers import RATE, clip
from hypothesis import given
from hypothesis import strategies as st

from stillwave.evaluation.challenge import SubmissionError, match, t1, write_submission


@pytest.mark.parametrize(
    ("stoi", "wer", "expected"),
    [
        (1.0, 0.0, 1.0),
        (0.68, 0.57, 0.555),
        (0.8, 0.0, 0.9),
        (0.8, 1.0, 0.4),
        (0.8, 2.5, 0.4),  # more errors than words are no worse than as many
        (-0.2, 0.5, 0.25),  # STOI may be negative
        (1.0000001, 0.5, 0.75),  # or round beyond 1
        (-0.2, 3.0, 0.0),
    ],
)
def test_t1_worked_by_hand(stoi, wer, expected):
    assert t1(stoi, wer) == pytest.approx(expected, abs=1e-12)


@given(st.floats(-1, 2), st.floats(-1, 5), st.floats(0, 1))
def test_t1_is_bounded_and_monotonic(stoi, wer, more):
    assert 0 <= t1(stoi, wer) <= 1
    assert t1(stoi + more, wer) >= t1(stoi, wer) >= t1(stoi, wer + more)


@pytest.fixture
def folders(tmp_path):
    """inputs/ with A and B of four channels, enhanced/ as any tool would name it."""
    for n, length in enumerate((4000, 5000, 6000)):
        for side in "AB":
            clip(tmp_path / "inputs" / f"84-1-{n}_{side}.wav", length, channels=4)
        clip(tmp_path / "enhanced" / (f"84-1-{n}_A.wav" if n else f"84-1-{n}.wav"), length)
    return tmp_path


def send(folder, microphones=1, team="us", track="audioonly"):
    return write_submission(folder / "enhanced", folder / "inputs", folder / "out", team, microphones, track)


def test_the_archive_contains_the_enhanced_samples(folders):
    done = send(folders)
    assert (done.recordings, done.seconds) == (3, 15_000 / RATE)
    assert done.archive == folders / "out" / "us_audioonly.zip"
    with zipfile.ZipFile(done.archive) as packed:
        assert packed.namelist() == [f"task1/1mic/84-1-{n}.npy" for n in range(3)]
        with packed.open("task1/1mic/84-1-1.npy") as file:
            values = np.lib.format.read_array(file, allow_pickle=False)
    samples, _ = soundfile.read(folders / "enhanced" / "84-1-1_A.wav", dtype="float32")
    assert values.dtype == np.float32
    np.testing.assert_array_equal(values, samples)
    np.testing.assert_array_equal(np.load(folders / "out/task1/1mic/84-1-1.npy"), samples)


def test_the_archive_is_deterministic_and_holds_both_numbers_of_microphones(folders):
    first = send(folders).archive.read_bytes()
    assert send(folders).archive.read_bytes() == first
    with zipfile.ZipFile(send(folders, microphones=2, track="audiovisual").archive) as packed:
        assert {name.rpartition("/")[0] for name in packed.namelist()} == {"task1/1mic", "task1/2mic"}
        assert packed.filename.endswith("us_audiovisual.zip")


def refused(folder, words, **options):
    with pytest.raises(SubmissionError, match=words):
        send(folder, **options)
    assert not (folder / "out" / "task1" / "1mic").exists()
    assert not list(folder.glob("out/*.zip"))


def test_invalid_submissions_are_refused(folders):
    refused(folders, "--team", team="a/b")
    refused(folders, "--team", team="")
    enhanced = folders / "enhanced"
    clip(enhanced / "84-1-1_A.wav", 4999)
    refused(folders, "has 4999 samples.*5000")
    clip(enhanced / "84-1-1_A.wav", 5000, channels=2)
    refused(folders, "2 channels")
    soundfile.write(enhanced / "84-1-1_A.wav", np.zeros(5000), 8000)
    refused(folders, "8000 Hz")
    (enhanced / "84-1-1_A.wav").write_text("no audio")
    refused(folders, "84-1-1_A")
    (enhanced / "84-1-1_A.wav").unlink()
    refused(folders, "1 of 3 recordings are missing, the first is 84-1-1")
    clip(enhanced / "84-1-1_A.wav", 5000)
    clip(enhanced / "84-1-9_A.wav", 5000)
    refused(folders, "1 files have no recording.*84-1-9")
    (enhanced / "84-1-9_A.wav").unlink()
    clip(enhanced / "84-1-1.wav", 5000)
    refused(folders, "same recording")


def test_a_failed_call_keeps_the_earlier_archive(folders, monkeypatch):
    def contents():
        return {path: path.read_bytes() for path in (folders / "out").rglob("*") if path.is_file()}

    send(folders)
    before = contents()
    assert len(before) == 4  # three recordings and the archive
    clip(
        folders / "enhanced" / "84-1-0.wav", 4000, level=0.2
    )  # another sound: the first file would be replaced
    clip(folders / "enhanced" / "84-1-2_A.wav", 5999)
    with pytest.raises(SubmissionError, match="5999"):
        send(folders)
    assert contents() == before
    monkeypatch.setattr("stillwave.evaluation.challenge.LARGEST", 100)
    with pytest.raises(SubmissionError, match=r"them_audioonly\.zip: .*10 GB"):
        clip(folders / "enhanced" / "84-1-2_A.wav", 6000)
        send(folders, team="them")
    assert not (folders / "out" / "them_audioonly.zip").exists()


def test_microphone_b_is_not_a_separate_recording(folders):
    assert list(match(folders / "enhanced", folders / "inputs")) == ["84-1-0", "84-1-1", "84-1-2"]
