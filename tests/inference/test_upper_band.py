"""The band above that of the network follows the gain of the network's uppermost third, aligned to the sample."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest
from denoisers import Toy, half, nothing

import stillwave
from stillwave.errors import StateError, StillwaveError
from stillwave.inference import Enhancer
from stillwave.inference.stream_batch import StreamBatch
from stillwave.inference.upper_band import GainEnvelope, frame_gains

RATES = [22_050, 44_100, 44_101, 48_000, 96_000]


class Gains:
    """A causal network that multiplies frame t by `gains[t]`, and by the last gain after those."""

    sample_rate, n_fft, hop, microphones, fingerprint = 16_000, 512, 256, 1, "gains"

    def __init__(self, *gains: float):
        self.gains = np.array(gains, np.float32)

    def begin(self, streams):
        return {"frame": np.zeros((streams, 1), np.float32)}

    def step(self, spectrum, state):
        frames = state["frame"][:, :1].astype(int) + np.arange(spectrum.shape[2])
        gains = self.gains[np.minimum(frames, len(self.gains) - 1)]
        return spectrum * gains[:, None, :, None], {"frame": state["frame"] + spectrum.shape[2]}


class Bands:
    """A causal network that keeps some bins and removes the others."""

    sample_rate, n_fft, hop, microphones, fingerprint = 16_000, 512, 256, 1, "bands"

    def __init__(self, kept: slice):
        self.gains = np.zeros(257, np.float32)
        self.gains[kept] = 1

    def begin(self, streams):
        return {"frame": np.zeros((streams, 1), np.float32)}

    def step(self, spectrum, state):
        return spectrum * self.gains, state


def noise(samples: int, channels: int = 1) -> np.ndarray:
    return 0.1 * np.random.default_rng(0).standard_normal((channels, samples)).astype(np.float32)


def tone(hertz: float, rate: int = 48_000, seconds: float = 0.6) -> np.ndarray:
    return (0.5 * np.sin(2 * np.pi * hertz * np.arange(round(rate * seconds)) / rate)).astype(np.float32)


def level_db(samples: np.ndarray, rate: int, low: float, high: float) -> float:
    spectrum = np.fft.rfft(samples * np.hanning(samples.shape[-1]))
    hertz = np.fft.rfftfreq(samples.shape[-1], 1 / rate)
    return 10 * np.log10(np.sum(np.abs(spectrum[..., (hertz >= low) & (hertz < high)]) ** 2) + 1e-20)


@pytest.mark.parametrize("rate", RATES)
def test_a_network_that_changes_nothing_returns_the_input_at_all_frequencies(rate):
    noisy = noise(rate // 2, 2)
    assert np.abs(Enhancer(Gains(1)).enhance(noisy, rate) - noisy).max() < 1e-6
    offline = Enhancer(Toy(lambda x: x), window_seconds=0.32, overlap_seconds=0.08).enhance(noisy, rate)
    assert np.abs(offline - noisy)[:, rate // 100 : -rate // 100].max() < 1e-4


@pytest.mark.parametrize("network", [Gains(0.5), Toy(half)])
@pytest.mark.parametrize("hertz", [1_000, 6_000, 7_900, 8_100, 15_000])
def test_a_tone_of_any_frequency_is_halved_with_the_rest(network, hertz):
    noisy = tone(hertz) + noise(28_800)[0]
    out = Enhancer(network).enhance(noisy, 48_000)
    assert np.abs(out - noisy / 2)[2_400:-2_400].max() < 1e-3


@pytest.mark.parametrize("network", [Gains(0), Toy(nothing)])
def test_what_a_network_removes_is_removed_at_all_frequencies(network):
    assert np.abs(Enhancer(network).enhance(noise(48_000), 48_000)).max() < 1e-6


def test_the_gain_of_a_frame_applies_to_its_samples():
    gains = [1.0, 1.0, 0.0, 0.0, 1.0]  # frame t is centred on sample 256 t at 16 kHz, 768 t at 48 kHz
    noisy = tone(12_000) + noise(28_800)[0]
    out = Enhancer(Gains(*gains)).enhance(noisy, 48_000)
    place = np.arange(28_800) / 768
    falling, rising = np.sin(np.pi / 2 * (place - 2)) ** 2, np.sin(np.pi / 2 * (place - 3)) ** 2
    expected = np.where(place < 1, 1, np.where(place < 2, falling, np.where(place < 3, 0, rising)))
    upper = [
        np.fft.irfft(np.fft.rfft(x) * (np.fft.rfftfreq(28_800, 1 / 48_000) > 9_000)) for x in (noisy, out)
    ]
    inner = place < 4
    assert np.abs(upper[1] - expected * upper[0])[inner].max() < 0.02


def test_below_the_edge_the_estimate_is_that_of_the_network():
    model = stillwave.load("bsrnn-xs").model
    noisy = (noise(96_000) + tone(700, seconds=2))[0]
    full, narrow = (Enhancer(model, bandwidth=name).enhance(noisy, 48_000) for name in ("full", "model"))
    assert level_db(full - narrow, 48_000, 0, 6_500) < level_db(narrow, 48_000, 0, 6_500) - 80
    assert level_db(narrow, 48_000, 8_500, 24_000) < level_db(full, 48_000, 8_500, 24_000) - 40


def test_nothing_is_added_above_the_band_of_the_input():
    narrow = stillwave.load("bsrnn-xs").enhance(
        tone(3_000, 16_000) + noise(9_600)[0], 16_000, rate_out=48_000
    )
    assert level_db(narrow, 48_000, 8_500, 24_000) < level_db(narrow, 48_000, 0, 8_000) - 80
    telephone = Enhancer(Gains(0.3)).enhance(tone(3_000), 48_000)
    assert level_db(telephone, 48_000, 8_500, 24_000) < level_db(telephone, 48_000, 0, 8_000) - 80


@pytest.mark.parametrize("limit", [0, 6, 20])
def test_the_limit_holds_in_both_bands(limit):
    for hertz in (1_000, 15_000):
        noisy = tone(hertz)
        out = Enhancer(Gains(0)).enhance(noisy, 48_000, limit_db=limit)
        assert np.abs(out - noisy * 10 ** (-limit / 20)).max() < 1e-6


@pytest.mark.parametrize("limit", [3, 12, 30])
@pytest.mark.parametrize("rate", [44_100, 48_000])
@pytest.mark.parametrize("network", [Gains(0), Toy(nothing)])
def test_noise_alone_is_reduced_by_the_limit_in_every_band(network, rate, limit):
    noisy = noise(2 * rate)[0]
    out = Enhancer(network).enhance(noisy, rate, limit_db=limit)
    edges = [100, 1_000, 4_000, 7_000, 7_800, 8_200, 9_000, 14_000, 21_000]
    for low, high in pairwise(edges):
        reduced = level_db(noisy, rate, low, high) - level_db(out, rate, low, high)
        assert reduced == pytest.approx(limit, abs=0.1), (low, high)


@pytest.mark.parametrize(
    ("kept", "speech", "noise_bands"),
    [
        (slice(20, 44), [1_000], [(2_000, 5_000), (5_000, 7_800), (8_200, 11_000), (11_000, 20_000)]),
        (slice(160, 240), [6_000, 12_000], [(300, 1_000), (1_000, 4_000)]),
    ],
)
def test_in_bands_without_speech_noise_is_reduced_by_the_limit(kept, speech, noise_bands):
    voice = sum(tone(hertz, seconds=2) for hertz in speech)
    noisy = voice + 0.1 * noise(96_000)[0]
    out = Enhancer(Bands(kept)).enhance(noisy, 48_000, limit_db=12)
    reduced = [
        level_db(noisy, 48_000, low, high) - level_db(out, 48_000, low, high)
        for low, high in (*noise_bands, *((hertz - 50, hertz + 50) for hertz in speech))
    ]
    assert reduced == pytest.approx([12] * len(noise_bands) + [0] * len(speech), abs=0.1)


def test_a_shipped_model_never_exceeds_the_limit_and_reaches_it_where_it_removes_all():
    noisy = noise(3 * 48_000)[0]
    enhancer = stillwave.load()
    all_removed, out = (enhancer.enhance(noisy, 48_000, limit_db=limit) for limit in (None, 12))
    for low, high in pairwise([100, 1_000, 4_000, 7_800, 8_200, 14_000, 21_000]):
        before, unlimited, limited = (
            level_db(signal[48_000:], 48_000, low, high) for signal in (noisy, all_removed, out)
        )
        assert before - limited <= 12.1, (low, high)
        if before - unlimited > 55:
            assert before - limited == pytest.approx(12, abs=0.1), (low, high)


@pytest.mark.parametrize("rate", [44_100, 48_000])
def test_streams_in_a_batch_equal_recordings(rate):
    backend = stillwave.load("bsrnn-xs").backend
    signals = noise(rate // 2, 2)
    batch = StreamBatch(backend)
    streams = [batch.open(rate), batch.open(16_000), batch.open(rate, dry_mix=0.25)]
    parts: list[list[np.ndarray]] = [[], [], []]
    for stream, signal in zip(streams, (signals[:1], signals[:1], signals[1:]), strict=True):
        stream.push(signal)
        stream.finish()
    while ready := [stream for stream in streams if stream.frames > 0]:
        for stream, samples in zip(ready, batch.step(ready), strict=True):
            parts[streams.index(stream)].append(samples)
    enhancer = Enhancer(backend)
    for index, limit in ((0, None), (2, 20 * np.log10(4))):
        expected = enhancer.enhance(signals[index // 2], rate, limit_db=limit)
        assert np.abs(np.concatenate(parts[index], axis=1)[0] - expected).max() < 1e-5


def test_the_gain_is_the_ratio_of_magnitudes_in_the_uppermost_third():
    noisy = np.ones((1, 3, 257), np.complex64)
    estimate = noisy.copy()
    estimate[0, 0, 160:240] *= 0.25j
    estimate[0, 1] *= 7  # above the input: the gain is 1
    estimate[0, 2, :160] = 0  # what is lower does not matter
    assert frame_gains(noisy, estimate) == pytest.approx(np.array([[0.25, 1, 1]]))
    assert not frame_gains(np.zeros_like(noisy), estimate).any()


def test_the_envelope_is_the_same_for_blocks_of_any_size():
    gains = np.random.default_rng(0).random((2, 40)).astype(np.float32)
    whole = GainEnvelope(2, 256, 16_000, 44_100)
    whole.push(gains)
    expected = whole.take(27_518)
    parts = GainEnvelope(2, 256, 16_000, 44_100)
    taken = []
    for frame in range(40):
        parts.push(gains[:, frame : frame + 1])
        available = int((frame * 256) / 16_000 * 44_100) - sum(part.shape[1] for part in taken)
        taken.append(parts.take(max(0, available)))
    found = np.concatenate(taken, axis=1)
    assert found.shape == (2, 27_518)
    assert np.array_equal(found, expected)


def test_a_state_fits_streams_of_the_same_bandwidth():
    state = Enhancer(Gains(1)).open(48_000).state()
    with pytest.raises(StateError):
        Enhancer(Gains(1), bandwidth="model").open(48_000).restore(state)


def test_another_bandwidth_is_refused():
    with pytest.raises(StillwaveError, match="bandwidth"):
        stillwave.load(bandwidth="wide")
