"""Codecs damage, and do not move, a recording."""

import numpy as np
import pytest

from stillwave.data.effects import CODECS, Codec, Samples, through

RATE = 16_000


def speech_like(frames: int) -> Samples:
    """Noise below 3 kHz whose level rises and falls like syllables."""
    rng = np.random.default_rng(0)
    spectrum = np.fft.rfft(rng.standard_normal(frames))
    spectrum[np.fft.rfftfreq(frames, 1 / RATE) > 3000] = 0
    carrier = np.fft.irfft(spectrum, frames)
    envelope = 0.55 + 0.45 * np.sin(2 * np.pi * 4 * np.arange(frames) / RATE)
    return (0.2 * carrier / np.abs(carrier).max() * envelope).astype(np.float32)


@pytest.mark.parametrize("codec", CODECS, ids=lambda codec: codec.name)
@pytest.mark.parametrize("frames", [1, 300, 24_000, 32_000])
def test_length_and_alignment_are_kept(codec: Codec, frames: int) -> None:
    samples = speech_like(frames)
    decoded = through(codec, samples, RATE)
    assert decoded.shape == samples.shape
    assert decoded.dtype == np.float32
    if frames > 20_000:
        lags = np.correlate(np.pad(decoded, 500), samples, "valid")
        assert int(np.argmax(lags)) == 500


@pytest.mark.parametrize("codec", CODECS, ids=lambda codec: codec.name)
def test_the_signal_is_changed_slightly(codec: Codec) -> None:
    samples = speech_like(32_000)
    lost = through(codec, samples, RATE) - samples
    snr = 10 * np.log10(np.square(samples).sum() / np.square(lost).sum())
    assert 3 < snr < 60


def test_an_empty_signal_stays_empty() -> None:
    assert through(CODECS[0], np.zeros(0, np.float32), RATE).shape == (0,)
