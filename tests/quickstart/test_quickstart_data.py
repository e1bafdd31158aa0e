"""A user's own folder: found, shared out without a common voice, or refused with one clear sentence."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from stillwave.audio import write
from stillwave.data.manifest import ManifestError, read_manifest
from stillwave.data.pair_sets import read_pairs
from stillwave.quickstart import data

RATE = 16_000


def voice(file: Path, seed: int, seconds: float = 1.2) -> None:
    rng = np.random.default_rng(seed)
    time = np.arange(int(seconds * RATE)) / RATE
    tone = np.sin(2 * np.pi * (120 + 10 * seed) * time) * (1 + np.sin(2 * np.pi * 3 * time))
    write(file, (0.1 * tone + 0.001 * rng.normal(size=len(time))).astype(np.float32)[None], RATE)


def hiss(file: Path, seed: int) -> None:
    write(file, (0.1 * np.random.default_rng(seed).normal(size=RATE)).astype(np.float32)[None], RATE)


@pytest.fixture
def audio(tmp_path: Path) -> Path:
    """Five speakers with two recordings each, and six noises."""
    folder = tmp_path / "mine"
    for speaker in range(5):
        for take in range(2):
            voice(folder / "speech" / f"s{speaker}" / f"{take}.wav", speaker)
    for noise in range(6):
        hiss(folder / "noise" / f"n{noise}.wav", noise)
    return folder


def make_test(folder: Path) -> None:
    for side in ("noisy", "clean"):
        voice(folder / "test" / side / "a.wav", 9)


def names(manifest: str) -> set[str]:
    return {recording.speaker or recording.path.stem for recording in read_manifest(manifest)}


def test_speakers_and_noises_of_the_test_set_are_held_out(audio: Path, tmp_path: Path) -> None:
    found = data.own(audio, tmp_path / "work")
    assert not found.synthetic
    pairs = read_pairs(found.test)
    assert pairs
    tested = {pair.speaker for pair in pairs}
    assert tested
    assert not tested & names(found.train.speech)
    noises = {noise for pair in pairs for noise in pair.noise.split("+")}
    assert noises
    assert not noises & names(found.train.noise)
    chosen_by = {pair.speaker for pair in read_pairs(found.development)}
    assert not chosen_by & (tested | names(found.train.speech))
    assert len(names(found.train.speech)) + len(tested) + len(chosen_by) == 5
    assert "speech by 3 speakers" in found.sentence
    assert not found.babble  # three cannot babble behind one of them


def test_a_given_test_set_is_used_unchanged(audio: Path, tmp_path: Path) -> None:
    make_test(audio)
    found = data.own(audio, tmp_path / "work")
    assert found.test == audio / "test"
    assert len(names(found.train.speech)) == 4
    assert not (tmp_path / "work" / "test").exists()


def test_lists_in_a_train_folder_are_read(audio: Path, tmp_path: Path) -> None:
    make_test(audio)
    train = audio / "train"
    train.mkdir()
    for kind in ("speech", "noise"):
        (audio / kind).rename(train / kind)
    rows = [f"speech/s{s}/{t}.wav,{s},text {s}{t}" for s in range(5) for t in range(2)]
    (train / "speech.csv").write_text("file,speaker,text\n" + "\n".join(rows) + "\n")
    voice(train / "rir" / "room.wav", 0, 0.2)
    found = data.own(audio, tmp_path / "work")
    held = {pair.speaker for pair in read_pairs(found.development)}
    assert names(found.train.speech) | held == set("01234")
    assert all(r.text == f"text {r.speaker}{r.path.stem}" for r in read_manifest(found.train.speech))
    assert found.train.rooms is not None


def test_a_second_call_reuses_everything(audio: Path, tmp_path: Path) -> None:
    first = data.own(audio, tmp_path / "work")
    stamps = {file: file.stat().st_mtime_ns for file in (tmp_path / "work").rglob("*") if file.is_file()}
    assert data.own(audio, tmp_path / "work") == first
    assert stamps == {f: f.stat().st_mtime_ns for f in (tmp_path / "work").rglob("*") if f.is_file()}


def test_sources_are_manifests_with_absolute_paths(audio: Path, tmp_path: Path) -> None:
    found = data.own(audio, tmp_path / "work")
    assert Path(found.train.speech).is_absolute()
    assert found.train.rooms is None


@pytest.mark.parametrize("kind", ["speech", "noise"])
def test_a_folder_without_speech_or_noise_is_refused(audio: Path, tmp_path: Path, kind: str) -> None:
    (audio / kind).rename(tmp_path / "elsewhere")
    with pytest.raises(ManifestError, match=rf"mine: .*no {kind}; .*mine/{kind}/ .*mine/{kind}\.csv"):
        data.own(audio, tmp_path / "work")


def test_too_few_speakers_are_refused_with_their_number(tmp_path: Path) -> None:
    folder = tmp_path / "few"
    for speaker in range(2):
        voice(folder / "speech" / f"s{speaker}" / "a.wav", speaker)
    for noise in range(4):
        hiss(folder / "noise" / f"n{noise}.wav", noise)
    with pytest.raises(ManifestError, match=r"2 speaker.* 3 .* test"):
        data.own(folder, tmp_path / "work")
    make_test(folder)
    assert data.own(folder, tmp_path / "work").test == folder / "test"


def test_one_noise_is_too_few_even_with_a_test(audio: Path, tmp_path: Path) -> None:
    make_test(audio)
    for noise in range(1, 6):
        (audio / "noise" / f"n{noise}.wav").unlink()
    with pytest.raises(ManifestError, match=r"1 recording\(s\) of noise; .*2 "):
        data.own(audio, tmp_path / "work")


def test_a_missing_folder_is_named(tmp_path: Path) -> None:
    with pytest.raises(ManifestError, match="nowhere: "):
        data.own(tmp_path / "nowhere", tmp_path / "work")
