"""Each loudspeaker's sound goes to the same loudspeaker, whichever order a format stores channels in."""

from __future__ import annotations

import shutil
import struct
import subprocess
from pathlib import Path

import numpy as np
import pytest
import soundfile
from denoisers import Toy, nothing

from stillwave import audio
from stillwave.audio import surround
from stillwave.audio.metadata import flac, riff
from stillwave.errors import AudioError
from stillwave.inference import Enhancer

RATE = 48_000
WAV = {
    3: (0x7, "FL FR FC"),
    4: (0x33, "FL FR BL BR"),
    5: (0x37, "FL FR FC BL BR"),
    6: (0x3F, "FL FR FC LFE BL BR"),
    7: (0x70F, "FL FR FC LFE BC SL SR"),
    8: (0x63F, "FL FR FC LFE BL BR SL SR"),
}
OGG = {
    3: "FL FC FR",
    4: "FL FR BL BR",
    5: "FL FC FR BL BR",
    6: "FL FC FR BL BR LFE",
    7: "FL FC FR SL SR BC LFE",
    8: "FL FC FR SL SR BL BR LFE",
}
TONES = {"FL": 400, "FR": 500, "FC": 600, "LFE": 40, "BL": 800, "BR": 900, "BC": 1000, "SL": 1100, "SR": 1200}


def tones(speakers: str) -> np.ndarray:
    """A tone for each loudspeaker, `[channels, samples]`."""
    time = np.arange(RATE // 2) / RATE
    return np.stack([0.2 * np.sin(2 * np.pi * TONES[name] * time) for name in speakers.split()]).astype("f4")


def decoded(samples: np.ndarray) -> list[int]:
    """The frequency of each channel of `[samples, channels]`, to 20 Hz; a channel without sound has 0."""
    spectra = np.abs(np.fft.rfft(samples * np.hanning(len(samples))[:, None], axis=0))
    found = spectra.argmax(0) * RATE / len(samples)
    return [
        20 * round(float(f) / 20) if a > 0.05 else 0
        for f, a in zip(found, np.abs(samples).max(0), strict=True)
    ]


def frequencies(speakers: str) -> list[int]:
    return [TONES[name] for name in speakers.split()]


def surround_wav(path: Path, mask: int, speakers: str) -> Path:
    samples = tones(speakers)
    with audio.open_writer(path, RATE, len(samples), kept=audio.Kept(mask=mask)) as writer:
        writer.write(samples)
    return path


@pytest.fixture
def same() -> Enhancer:
    return Enhancer(Toy(sample_rate=RATE))


def test_the_channel_mask_is_written_in_each_format(tmp_path):
    content = surround_wav(tmp_path / "a.wav", 0x60F, WAV[6][1]).read_bytes()
    place = content.index(b"fmt ")
    tag, channels = struct.unpack_from("<HH", content, place + 8)
    assert (tag, channels) == (0xFFFE, 6)
    assert struct.unpack_from("<I", content, place + 8 + 20) == (0x60F,)
    assert soundfile.info(tmp_path / "a.wav").channels == 6


@pytest.mark.parametrize("channels", range(3, 9))
@pytest.mark.parametrize("suffix", [".ogg", ".opus"])
def test_surround_goes_into_ogg_in_its_order_and_comes_back(tmp_path, same, channels, suffix):
    mask, speakers = WAV[channels]
    source = surround_wav(tmp_path / "a.wav", mask, speakers)
    report = same.enhance_file(source, tmp_path / f"b{suffix}")
    assert report.lost_tags == ()
    assert decoded(soundfile.read(tmp_path / f"b{suffix}")[0]) == frequencies(OGG[channels])
    for back in ("c.wav", "c.flac"):
        same.enhance_file(tmp_path / f"b{suffix}", tmp_path / back)
        assert decoded(soundfile.read(tmp_path / back)[0]) == frequencies(speakers)
    assert riff.channel_mask(tmp_path / "c.wav") == mask


@pytest.mark.parametrize("mask", [0x3F, 0x60F])
def test_masks_are_kept_from_wav_to_wav_and_flac(tmp_path, same, mask):
    source = surround_wav(tmp_path / "a.wav", mask, WAV[6][1])
    same.enhance_file(source, tmp_path / "b.wav")
    assert riff.channel_mask(tmp_path / "b.wav") == mask
    same.enhance_file(source, tmp_path / "b.flac")
    assert surround.layout_of(audio.probe(tmp_path / "b.flac")).speakers[3] == "LFE"
    report = same.enhance_file(source, tmp_path / "b.aiff")
    assert report.lost_tags == ("channel layout",)


def test_an_unusual_layout_is_stated_in_flac_and_kept_there(tmp_path, same):
    source = surround_wav(tmp_path / "a.wav", 0xB, "FL FR LFE")
    same.enhance_file(source, tmp_path / "b.flac")
    assert flac.comments(tmp_path / "b.flac") == [(flac.CHANNEL_MASK, "0x000B")]
    same.enhance_file(tmp_path / "b.flac", tmp_path / "c.flac")
    assert flac.comments(tmp_path / "c.flac") == [(flac.CHANNEL_MASK, "0x000B")]
    same.enhance_file(tmp_path / "c.flac", tmp_path / "d.wav")
    assert riff.channel_mask(tmp_path / "d.wav") == 0xB
    assert same.enhance_file(source, tmp_path / "b.ogg").lost_tags == ("channel layout",)


@pytest.mark.parametrize("channels", [3, 4, 5])
def test_microphones_keep_their_order(tmp_path, same, channels):
    samples = tones(" ".join(list(TONES)[:channels]))
    audio.write(tmp_path / "a.wav", samples, RATE)
    for name in ("b.ogg", "b.opus", "b.wav", "b.flac"):
        report = same.enhance_file(tmp_path / "a.wav", tmp_path / name)
        assert decoded(soundfile.read(tmp_path / name)[0]) == frequencies(" ".join(list(TONES)[:channels]))
        assert report.lost_tags == ()
    assert riff.channel_mask(tmp_path / "b.wav") == 0


def test_microphones_that_an_encoder_would_take_for_an_lfe_are_refused(tmp_path, same):
    for channels, suffix in ((6, ".ogg"), (6, ".opus"), (8, ".opus")):
        audio.write(tmp_path / "a.wav", tones(WAV[channels][1]), RATE)
        with pytest.raises(AudioError, match=r"low-frequency effects .* write \.wav or \.flac"):
            same.enhance_file(tmp_path / "a.wav", tmp_path / f"b{suffix}")
    assert [path.name for path in tmp_path.iterdir()] == ["a.wav"]


def test_an_array_of_microphones_reaches_its_network_in_the_stored_order(tmp_path):
    audio.write(tmp_path / "a.ogg", tones(OGG[5]), RATE)
    third = Enhancer(Toy(lambda noisy: noisy[:, 2], RATE, microphones=5))
    third.enhance_file(tmp_path / "a.ogg", tmp_path / "b.wav")
    assert decoded(soundfile.read(tmp_path / "b.wav", always_2d=True)[0]) == frequencies("FR")


@pytest.mark.parametrize("rate_out", [None, 16_000, 44_100])
def test_the_lfe_is_copied_unprocessed(tmp_path, rate_out):
    silent = Enhancer(Toy(nothing))
    source = surround_wav(tmp_path / "a.wav", *WAV[6])
    silent.enhance_file(source, tmp_path / "b.wav", rate_out=rate_out)
    found, rate = audio.read(tmp_path / "b.wav")
    expected = audio.resample(audio.read(source)[0], RATE, rate)
    assert found.shape == expected.shape
    assert np.abs(found[3] - expected[3]).max() < 2e-4
    assert not np.delete(found, 3, axis=0).any()


@pytest.mark.skipif(not shutil.which("ffmpeg"), reason="ffmpeg is the judge here")
@pytest.mark.parametrize("channels", [3, 5, 6, 7, 8])
@pytest.mark.parametrize("suffix", [".ogg", ".opus"])
def test_another_decoder_reads_the_same_channel_order(tmp_path, same, channels, suffix):
    mask, speakers = WAV[channels]
    same.enhance_file(surround_wav(tmp_path / "a.wav", mask, speakers), tmp_path / f"b{suffix}")
    subprocess.run(["ffmpeg", "-v", "error", "-i", tmp_path / f"b{suffix}", tmp_path / "c.wav"], check=True)
    assert decoded(soundfile.read(tmp_path / "c.wav")[0]) == frequencies(speakers)
