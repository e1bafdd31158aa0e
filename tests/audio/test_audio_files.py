"""Files: what is written comes back, in every format."""

from __future__ import annotations

import os

import numpy as np
import pytest
import soundfile
from hypothesis import given, settings
from hypothesis import strategies as st

from stillwave import audio
from stillwave.errors import AudioError

EXACT = [
    (".wav", "PCM_16"), (".wav", "PCM_24"), (".wav", "PCM_32"), (".wav", "PCM_U8"), (".wav", "FLOAT"),
    (".wav", "DOUBLE"), (".flac", "PCM_S8"), (".flac", "PCM_16"), (".flac", "PCM_24"), (".aiff", "PCM_16"),
    (".aif", "PCM_24"), (".caf", "PCM_16"), (".w64", "PCM_16"), (".rf64", "PCM_24"),
]  # fmt: skip
STEP = {"PCM_U8": 2**-7, "PCM_S8": 2**-7, "PCM_16": 2**-15, "PCM_24": 2**-23, "PCM_32": 2**-31}
LOSSY = [(".mp3", "MPEG_LAYER_III"), (".ogg", "VORBIS"), (".ogg", "OPUS"), (".opus", "OPUS")]
TAGS = {"title": "Löwe", "artist": "A", "comment": "C", "album": "B", "date": "2024", "tracknumber": "3"}


def speechlike(channels: int, samples: int, rate: int = 16_000) -> np.ndarray:
    """Harmonics with a moving envelope: something that the lossy codecs are made for."""
    time = np.arange(samples) / rate
    voice = sum(np.sin(2 * np.pi * 150 * k * time) / k for k in range(1, 8))
    envelope = 0.2 * (1 + np.sin(2 * np.pi * 3 * time))
    return np.stack([voice * envelope * (0.5 + 0.5 * c) for c in range(channels)]).astype(np.float32) / 2


@pytest.mark.parametrize(("suffix", "subtype"), EXACT)
@pytest.mark.parametrize("channels", [1, 2, 8])
def test_lossless_formats_give_back_what_was_written_to_half_a_step(tmp_path, suffix, subtype, channels):
    samples = np.random.default_rng(0).uniform(-0.99, 0.99, (channels, 4_001)).astype(np.float32)
    report = audio.write(tmp_path / f"a{suffix}", samples, 44_100, subtype=subtype)
    found, rate = audio.read(tmp_path / f"a{suffix}")
    assert (rate, found.shape, found.dtype) == (44_100, samples.shape, np.float32)
    assert np.abs(found.astype(np.float64) - samples).max() <= 0.5 * STEP.get(subtype, 0) + 1e-7 * (
        subtype == "PCM_32"
    )
    assert (report.frames, report.channels, report.subtype, report.clipped) == (4_001, channels, subtype, 0)
    assert report.peak == np.abs(samples).max()


@pytest.mark.parametrize(("suffix", "subtype"), EXACT)
def test_samples_that_were_read_are_written_bit_for_bit(tmp_path, suffix, subtype):
    samples = np.random.default_rng(1).uniform(-1, 1, (2, 3_000)).astype(np.float32)
    audio.write(tmp_path / f"a{suffix}", samples, 16_000, subtype=subtype)
    once, _ = audio.read(tmp_path / f"a{suffix}")
    audio.write(tmp_path / f"b{suffix}", once, 16_000, subtype=subtype)
    twice, _ = audio.read(tmp_path / f"b{suffix}")
    assert np.array_equal(once, twice)


def test_every_sixteen_bit_value_survives(tmp_path):
    steps = np.arange(-(2**15), 2**15).astype(np.int16)
    audio.write(tmp_path / "a.wav", steps, 16_000)
    raw, _ = soundfile.read(tmp_path / "a.wav", dtype="int16")
    assert np.array_equal(raw, steps)


def test_integers_are_rounded_to_the_nearest_step_not_down(tmp_path):
    samples = (np.array([0.4, 0.6, -0.4, -0.6, 1.4, -1.4]) / 2**15).astype(np.float32)
    for name in ("a.wav", "a.flac"):
        audio.write(tmp_path / name, samples, 16_000)
        raw, _ = soundfile.read(tmp_path / name, dtype="int16")
        assert raw.tolist() == [0, 1, 0, -1, 1, -1]


@pytest.mark.parametrize(("suffix", "subtype"), LOSSY)
@pytest.mark.parametrize("channels", [1, 2])
@pytest.mark.parametrize("samples", [1, 500, 48_001])
def test_lossy_formats_keep_length_alignment_and_polarity(tmp_path, suffix, subtype, channels, samples):
    given_ = speechlike(channels, samples)
    audio.write(tmp_path / f"a{suffix}", given_, 16_000, subtype=subtype)
    found, rate = audio.read(tmp_path / f"a{suffix}")
    assert (rate, found.shape) == (16_000, given_.shape)
    if samples > 1_000:
        error = np.sum((found - given_) ** 2) / np.sum(given_**2)
        assert 10 * np.log10(error) < -10  # a shift by 2 samples or an inverted sign costs more


@pytest.mark.parametrize(("suffix", "subtype"), [*LOSSY, (".flac", "PCM_16"), (".wav", "PCM_16")])
@pytest.mark.parametrize("rate", [16_000, 48_000])
def test_blocks_and_parts_equal_the_whole(tmp_path, suffix, subtype, rate):
    path = tmp_path / f"a{suffix}"
    audio.write(path, speechlike(2, 60_000, rate), rate, subtype=subtype)
    whole, _ = audio.read(path)
    with audio.open_reader(path) as reader:
        blocks = list(reader.blocks(7_777))
    assert [b.shape[1] for b in blocks] == [7_777] * 7 + [60_000 - 7 * 7_777]
    assert np.array_equal(np.concatenate(blocks, axis=1), whole)
    for start in (1, 12_345, 59_000, 59_999):
        part, _ = audio.read(path, start=start, frames=800)
        # An Opus decoder that starts in the middle converges, it does not repeat itself to the bit.
        tolerance = 5e-3 if subtype == "OPUS" else 0
        assert part.shape == whole[:, start : start + 800].shape
        assert np.abs(part - whole[:, start : start + 800]).max() <= tolerance


def test_vorbis_takes_long_recordings(tmp_path):
    # libsndfile overruns its stack when it is handed this much at once.
    report = audio.write(tmp_path / "a.ogg", np.zeros((1, 5_000_000), np.float32), 16_000)
    assert audio.probe(tmp_path / "a.ogg").frames == report.frames == 5_000_000


@settings(max_examples=30, deadline=None)
@given(
    suffix=st.sampled_from([".wav", ".flac"]),
    rate=st.sampled_from([8_000, 11_025, 16_000, 44_100, 96_000, 192_000]),
    channels=st.integers(1, 8),
    samples=st.integers(1, 2_000),
    target=st.sampled_from([None, 8_000, 16_000, 48_000]),
)
def test_any_rate_channels_and_length(tmp_path_factory, suffix, rate, channels, samples, target):
    path = tmp_path_factory.mktemp("any") / f"a{suffix}"
    audio.write(path, np.zeros((channels, samples), np.float32), rate)
    info = audio.probe(path)
    assert (info.sample_rate, info.channels, info.frames) == (rate, channels, samples)
    assert info.seconds == pytest.approx(samples / rate)
    found, found_rate = audio.read(path, sample_rate=target)
    assert found_rate == (target or rate)
    assert abs(found.shape[1] - samples * found_rate / rate) <= 0.5
    assert not found.any()


def test_overs_are_clipped_and_counted_by_integers_and_kept_by_floats_and_codecs(tmp_path):
    samples = np.array([[0.5, 1.0, 1.5, -1.0, -2.0]], np.float32)
    report = audio.write(tmp_path / "a.wav", samples, 16_000)
    assert (report.clipped, report.peak) == (2, 2.0)
    found, _ = audio.read(tmp_path / "a.wav")
    top = 1 - 2**-15
    assert found[0].tolist() == [0.5, top, top, -1, -1]
    report = audio.write(tmp_path / "f.wav", samples, 16_000, subtype="FLOAT")
    assert report.clipped == 0
    assert np.array_equal(audio.read(tmp_path / "f.wav")[0], samples)
    loud = 12 * speechlike(1, 16_000)
    for suffix, subtype in LOSSY:
        assert audio.write(tmp_path / f"l{suffix}", loud, 16_000, subtype=subtype).clipped == 0
        assert np.abs(audio.read(tmp_path / f"l{suffix}")[0]).max() > 1.2


def test_metadata_is_kept_or_reported_as_lost(tmp_path):
    samples = np.zeros((1, 1_000), np.float32)
    for name in ("a.wav", "a.flac", "a.ogg", "a.opus", "a.mp3", "a.caf"):
        assert audio.write(tmp_path / name, samples, 16_000, tags=TAGS).lost_tags == ()
        assert TAGS.items() <= audio.probe(tmp_path / name).tags.items(), name
    assert audio.write(tmp_path / "a.w64", samples, 16_000, tags={"title": "T"}).lost_tags == ("title",)


@pytest.mark.parametrize(
    ("path", "source", "expected"),
    [
        ("a.wav", None, "PCM_16"), ("a.wav", "PCM_24", "PCM_24"), ("a.wav", "FLOAT", "FLOAT"),
        ("a.wav", "DOUBLE", "DOUBLE"), ("a.wav", "ULAW", "PCM_16"), ("a.wav", "PCM_U8", "PCM_16"),
        ("a.wav", "MPEG_LAYER_III", "PCM_16"), ("a.flac", "FLOAT", "PCM_24"), ("a.flac", "PCM_32", "PCM_24"),
        ("a.FLAC", "PCM_16", "PCM_16"), ("a.ogg", "OPUS", "OPUS"), ("a.ogg", "PCM_24", "VORBIS"),
        ("a.opus", "VORBIS", "OPUS"), ("a.mp3", "FLOAT", "MPEG_LAYER_III"),
    ],
)  # fmt: skip
def test_the_sample_format_nearest_to_the_source(path, source, expected):
    assert audio.subtype_for(path, source) == expected


@pytest.mark.parametrize(
    ("name", "rate", "channels", "subtype", "words"),
    [
        ("a.xyz", 16_000, 1, None, "'.xyz'.*: .aif"),
        ("a.wave", 16_000, 1, None, "'.wave'.*'.wav'"),
        ("a", 16_000, 1, None, "'no suffix'"),
        ("a.flac", 16_000, 9, None, "8 channels, not 9"),
        ("a.mp3", 96_000, 1, None, "MPEG_LAYER_III .*96000 Hz, only 8000, 11025"),
        (
            "a.opus",
            44_100,
            1,
            None,
            "OPUS .*44100 Hz, only 8000, 12000, 16000, 24000, 48000 Hz",
        ),
        ("a.ogg", 44_100, 1, "OPUS", "OPUS .*44100 Hz"),
        ("a.flac", 16_000, 1, "FLOAT", "FLAC .*FLOAT.*PCM_16, PCM_24"),
        ("a.wav", 12.5, 1, None, "Hz .*got 12.5"),
    ],
)
def test_values_that_a_format_cannot_store_are_refused(tmp_path, name, rate, channels, subtype, words):
    with pytest.raises(AudioError, match=words) as caught:
        audio.write(tmp_path / name, np.zeros((channels, 100), np.float32), rate, subtype=subtype)
    assert str(tmp_path / name) in str(caught.value)
    assert list(tmp_path.iterdir()) == []


def test_more_than_four_gigabytes_of_wav_become_rf64(tmp_path):
    with audio.open_writer(tmp_path / "a.wav", 96_000, 2, frames=2**31) as writer:
        writer.write(np.zeros((2, 100), np.float32))
    assert writer.report.format == "RF64"
    assert audio.probe(tmp_path / "a.wav").frames == 100


@pytest.mark.parametrize("suffix", [".wav", ".flac", ".mp3", ".opus"])
def test_any_valid_file_name_works(tmp_path, suffix):
    samples = speechlike(1, 2_000)
    for stem in (b"caf\xe9", b"n" * (255 - len(suffix)), b"new\nline", b"[red]", b" "):
        path = tmp_path / os.fsdecode(stem + suffix.encode())
        audio.write(path, samples, 16_000)
        assert audio.probe(path).frames == 2_000


def test_a_file_created_meanwhile_is_not_replaced(tmp_path):
    path = tmp_path / "a.wav"
    with (
        pytest.raises(AudioError, match=r"a\.wav: .*overwrite=True"),
        audio.open_writer(path, 16_000, 1, overwrite=False) as writer,
    ):
        writer.write(np.zeros((1, 100), np.float32))
        path.write_text("precious")
    assert path.read_text() == "precious"
    assert [p.name for p in tmp_path.iterdir()] == ["a.wav"]
