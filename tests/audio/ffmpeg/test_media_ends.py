"""Where files that go through ffmpeg begin and end: delays of encoders, and files that were cut."""

from __future__ import annotations

import numpy as np
import pytest
from media_clips import lag, sound

from stillwave import audio
from stillwave.audio.ffmpeg import open_encoder
from stillwave.audio.ffmpeg.program import inspect
from stillwave.errors import AudioError


@pytest.mark.parametrize("rate", [16_000, 22_050, 32_000, 44_100, 48_000])
@pytest.mark.parametrize("codec", ["wmav1", "wmav2"])
def test_wma_is_aligned_to_a_millisecond(tmp_path, make, rate, codec):
    samples = sound(rate=rate)[None]
    audio.write(tmp_path / "a.wav", samples, rate)
    original = make(tmp_path / "a.wma", "-i", tmp_path / "a.wav", "-c:a", codec)
    with open_encoder(tmp_path / "b.wma", rate, 1, original=original, tags={}) as writer:
        writer.write(samples)
    assert inspect(tmp_path / "b.wma").of("Audio")[0].codec == codec
    found, _ = audio.read(tmp_path / "b.wma")
    assert abs(lag(found[0], samples[0])) <= rate / 1000
    assert found.shape[1] >= samples.shape[1] - rate / 1000


def cut(path, share: float):
    content = path.read_bytes()
    path.write_bytes(content[: int(share * len(content))])
    return path


@pytest.mark.parametrize("suffix", [".wma", ".mka", ".wv", ".tta", ".m4a"])
@pytest.mark.parametrize("share", [0.5, 0.9])
def test_a_cut_file_that_states_its_length_is_refused(tmp_path, make, suffix, share):
    audio.write(tmp_path / "long.wav", sound(10.0), 44_100)
    path = make(tmp_path / f"a{suffix}", "-i", tmp_path / "long.wav")
    whole, _ = audio.read(path)
    assert whole.shape[1] >= 441_000
    with pytest.raises(AudioError, match="cut short"):
        audio.read(cut(path, share))


@pytest.mark.parametrize("suffix", [".aac", ".ts"])
def test_a_cut_file_that_states_no_length_is_read_with_a_warning(tmp_path, make, wav, suffix):
    path = cut(make(tmp_path / f"a{suffix}", "-i", wav, "-c:a", "aac"), 0.5)
    with audio.open_reader(path) as reader:
        held = reader.rest().shape[1]
        assert "it may be damaged or cut short" in reader.notes[-1]
    assert 0.3 * 66_150 < held < 0.7 * 66_150


@pytest.mark.parametrize(("layout", "channels"), [("3.0", 3), ("quad", 4), ("5.1", 6), ("7.1", 8)])
@pytest.mark.parametrize("suffix", [".mkv", ".mov"])
def test_pcm_keeps_its_channel_layout(tmp_path, make, layout, channels, suffix):
    place = ("-f", "lavfi", "-i", f"anoisesrc=d=1:r=48000,aformat=channel_layouts={layout}")
    original = make(tmp_path / "a.mov", *place, "-c:a", "pcm_s16le")
    samples, _ = audio.read(original)
    assert len(samples) == channels
    target = tmp_path / f"b{suffix}"
    with open_encoder(target, 48_000, channels, original=original, tags={}, subtype="PCM_16") as writer:
        writer.write(samples)
    assert (audio.probe(target).layout, audio.probe(target).subtype) == (layout, "PCM_16")
    assert np.array_equal(audio.read(target)[0], samples)
    assert writer.report.lost_tags == ()


def test_channel_layouts_that_matroska_cannot_store_are_reported(tmp_path, make):
    place = ("-f", "lavfi", "-i", "anoisesrc=d=1:r=48000,aformat=channel_layouts=quad")
    original = make(tmp_path / "a.mov", *place, "-c:a", "pcm_f32le")
    samples, _ = audio.read(original)
    with open_encoder(tmp_path / "b.mkv", 48_000, 4, original=original, tags={}, subtype="FLOAT") as writer:
        writer.write(samples)
    assert writer.report.lost_tags == ("channel layout",)
