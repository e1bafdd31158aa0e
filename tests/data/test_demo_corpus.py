"""The demo corpus: the same again, sets without a common voice or sentence, whole or not there at all."""

from __future__ import annotations

import csv
import json
from pathlib import Path

import numpy as np
import pytest
import soundfile

from stillwave.data.demo import corpus, espeak, speaker_splits
from stillwave.data.demo.sentences import make_sentences
from stillwave.data.demo.speaker_splits import Size, split_speakers
from stillwave.data.manifest import Recording, read_manifest
from stillwave.errors import MissingExtraError, StillwaveError

TINY = Size(speakers=2, sentences=2, noises=1, noise_seconds=1.0, rooms=1, mixtures=4)

needs_espeak = pytest.mark.skipif(not espeak.available(), reason="needs the demo extra")


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return corpus.build(tmp_path_factory.mktemp("corpus") / "demo", seed=1, size=TINY, jobs=2)


def contents(folder: Path) -> dict[str, bytes]:
    return {str(f.relative_to(folder)): f.read_bytes() for f in sorted(folder.rglob("*")) if f.is_file()}


def lines(manifest: Path) -> list[Recording]:
    return read_manifest(manifest)


@pytest.mark.parametrize("seed", [0, 1, 17])
def test_no_voice_and_no_sentence_is_in_two_sets(seed: int) -> None:
    parts = split_speakers(seed, Size())
    variants = [
        {part.voice.variant for part in parts if part.split == split} for split in speaker_splits.SPLITS
    ]
    assert not variants[0] & variants[1]
    assert not variants[0] & variants[2]
    assert not variants[1] & variants[2]
    babblers = {part.voice.variant for part in parts if part.role == "babble"}
    assert not babblers & {part.voice.variant for part in parts if part.role == "speech"}
    texts = [text for part in parts for text in part.texts]
    assert len(texts) == len(set(texts))


def test_every_training_speaker_sounds_different() -> None:
    speakers = [
        part.voice for part in split_speakers(0, Size()) if part.split == "train" and part.role == "speech"
    ]
    assert len(speakers) == Size().speakers == len(set(speakers))


def test_sentences_are_unique_and_an_error_if_exhausted() -> None:
    made = make_sentences(500, np.random.default_rng(0))
    assert len(set(made)) == 500
    assert all(text[0].isupper() and text[-1] in ".?" and "{" not in text for text in made)
    with pytest.raises(StillwaveError, match="30 different sentences"):
        make_sentences(30, _Constant())  # type: ignore[arg-type]


class _Constant(np.random.Generator):
    """A generator that always returns the same value."""

    def __init__(self) -> None:
        super().__init__(np.random.PCG64(0))

    def choice(self, *_: object, **__: object) -> np.ndarray:  # type: ignore[override]
        return np.array([0, 1])

    def integers(self, *_: object, **__: object) -> int:  # type: ignore[override]
        return 0


@needs_espeak
def test_manifests_describe_the_recordings(built: Path) -> None:
    speech = lines(built / "train" / "speech.jsonl")
    assert len(speech) == TINY.speakers * TINY.sentences
    for line in [*speech, *lines(built / "train" / "noise.jsonl"), *lines(built / "train" / "rooms.jsonl")]:
        info = soundfile.info(line.path)
        assert (info.samplerate, info.channels) == (line.sample_rate, line.channels) == (16000, 1)
        assert line.seconds == pytest.approx(info.duration)
    assert all(line.text and line.speaker for line in speech)
    kinds = {line.label for line in lines(built / "train" / "noise.jsonl")}
    assert kinds == {*corpus.NOISES, "babble"}
    assert not list((built / "train").glob("babble"))


@needs_espeak
@pytest.mark.parametrize(("split", "count"), [("development", 4), ("test", 6)])
def test_fixed_sets_are_complete_and_aligned(built: Path, split: str, count: int) -> None:
    with (built / split / "mixtures.csv").open(newline="") as handle:
        rows = list(csv.DictReader(handle))
    assert len(rows) == count
    spoken = {line.text for line in lines(built / "train" / "speech.jsonl")}
    for row in rows:
        noisy, rate = soundfile.read(built / split / "noisy" / f"{row['id']}.flac")
        clean, _ = soundfile.read(built / split / "clean" / f"{row['id']}.flac")
        assert rate == 16000
        assert len(noisy) == len(clean) == pytest.approx(float(row["seconds"]) * rate, abs=10)
        assert row["text"] not in spoken
        if not row["rir"]:
            snr = 10 * np.log10(np.sum(clean**2) / np.sum((noisy - clean) ** 2))
            assert snr == pytest.approx(float(row["snr_db"]), abs=0.1)
    assert sum(bool(row["rir"]) for row in rows) == count // 5


@needs_espeak
def test_the_folder_says_that_the_speech_is_synthetic(built: Path) -> None:
    assert "The speech is synthetic." in (built / "README.md").read_text()
    assert json.loads((built / "corpus.json").read_text())["espeak_ng"].startswith("1.")


@needs_espeak
def test_a_built_folder_is_kept(built: Path) -> None:
    stamp = (built / "corpus.json").stat().st_mtime_ns
    corpus.build(built, seed=1, size=TINY)
    assert (built / "corpus.json").stat().st_mtime_ns == stamp


@needs_espeak
@pytest.mark.slow
def test_a_damaged_folder_is_rebuilt_with_the_same_bytes(built: Path) -> None:
    before = contents(built)
    (built / "corpus.json").write_text("{")
    (built / "train" / "speech.jsonl").unlink()
    corpus.build(built, seed=1, size=TINY, jobs=1)
    assert contents(built) == before


@needs_espeak
def test_an_interrupted_build_leaves_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def stop(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(espeak, "speak_in_process", stop)
    with pytest.raises(KeyboardInterrupt):
        corpus.build(tmp_path / "demo", size=TINY)
    assert not list(tmp_path.iterdir())


def test_without_the_extra_the_error_names_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(espeak, "available", lambda: False)
    with pytest.raises(MissingExtraError) as caught:
        corpus.build(tmp_path / "demo")
    assert caught.value.extra == "demo"
    with pytest.raises(MissingExtraError) as caught:
        espeak.speak_in_process(espeak.Voice("en", "m1"), [], 16000)
    assert caught.value.extra == "demo"


@needs_espeak
def test_an_unknown_voice_is_refused_by_name(tmp_path: Path) -> None:
    with pytest.raises(StillwaveError, match=r"'xx-nowhere\+m1'"):
        espeak.speak_in_process(espeak.Voice("xx-nowhere", "m1"), [("Hello.", tmp_path / "a.wav")], 16000)


@needs_espeak
def test_pitch_and_speed_are_applied(tmp_path: Path) -> None:
    text = "The old sailor counted eleven pages."
    settings = {"slow": (50, 120), "fast": (50, 240), "low": (10, 170), "high": (90, 170)}
    heard = {}
    for name, (pitch, speed) in settings.items():
        voice = espeak.Voice("en-us", "m1", pitch=pitch, intonation=10, words_per_minute=speed)
        espeak.speak_in_process(voice, [(text, tmp_path / "a.wav")], 16000)
        heard[name] = soundfile.read(tmp_path / "a.wav")[0]
    assert len(heard["slow"]) > 1.4 * len(heard["fast"])
    assert _pitch(heard["high"]) > 1.4 * _pitch(heard["low"])


def _pitch(samples: np.ndarray) -> float:
    """The median fundamental of the voiced frames by autocorrelation, in Hz."""
    found = []
    for frame in samples[: len(samples) // 1024 * 1024].reshape(-1, 1024):
        correlation = np.correlate(frame, frame, "full")[1023:]
        lag = correlation[40:270].argmax() + 40
        if correlation[lag] > 0.5 * correlation[0] > 0.05:
            found.append(16000 / lag)
    return float(np.median(found))


def test_the_test_set_is_1_5_times_as_large() -> None:
    assert [speaker_splits.mixtures_of(split, Size(mixtures=24)) for split in speaker_splits.SPLITS] == [
        0,
        24,
        36,
    ]
