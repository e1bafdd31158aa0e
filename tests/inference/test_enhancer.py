"""Arrays through the enhancer: length, place, level and polarity, at any rate and with any network."""

from __future__ import annotations

import sys

import numpy as np
import pytest
import torch
from denoisers import Toy, biased, half, levelled, nothing
from hypothesis import given, settings
from hypothesis import strategies as st

from stillwave import inference
from stillwave.errors import AudioError, MissingExtraError, StillwaveError
from stillwave.inference import Enhancer

RATES = [8_000, 11_025, 16_000, 22_050, 44_100, 48_000, 96_000, 192_000]


def tone(rate: int, seconds: float, hertz: float = 1_000.0) -> np.ndarray:
    time = np.arange(round(rate * seconds)) / rate
    return (0.5 * np.sin(2 * np.pi * hertz * time)).astype(np.float32)


def noise(channels: int, samples: int, seed: int = 0) -> np.ndarray:
    return 0.1 * np.random.default_rng(seed).standard_normal((channels, samples)).astype(np.float32)


def short_windows(rule, **options) -> Enhancer:
    return Enhancer(Toy(rule, **options), window_seconds=0.64, overlap_seconds=0.16)


@settings(deadline=None, max_examples=80)
@given(
    rate=st.sampled_from(RATES),
    channels=st.integers(1, 4),
    samples=st.integers(1, 40_000),
    limit=st.sampled_from([None, 0, 12]),
)
def test_the_shape_is_kept_for_every_rate_and_length(rate, channels, samples, limit):
    noisy = noise(channels, samples)
    out = short_windows(half).enhance(noisy, rate, limit_db=limit)
    assert out.shape == noisy.shape
    assert out.dtype == np.float32
    assert np.isfinite(out).all()


@pytest.mark.parametrize("rate", RATES)
@pytest.mark.parametrize("seconds", [0.5, 3])
def test_alignment_level_and_polarity_are_kept(rate, seconds):
    noisy = tone(rate, seconds)
    out = short_windows(lambda noisy: noisy).enhance(noisy, rate)
    assert out.shape == noisy.shape
    inner = slice(rate // 20, -rate // 20)
    assert np.abs(out - noisy)[inner].max() < 2e-4
    assert np.abs(short_windows(half).enhance(noisy, rate) - noisy / 2)[inner].max() < 1e-4


def test_short_recordings_are_processed_at_once():
    enhancer = short_windows(levelled)
    for samples in (1, 255, 256, 10_000, enhancer.window):
        noisy = noise(1, samples)
        expected = levelled(torch.from_numpy(noisy)).numpy()
        assert np.array_equal(enhancer.enhance(noisy, 16_000), expected)
    assert enhancer.model.seen[-1] == (1, enhancer.window)


def test_windows_equal_the_whole_for_a_network_without_context():
    noisy = noise(2, 100_000)
    assert np.abs(short_windows(half).enhance(noisy, 16_000) - noisy / 2).max() < 1e-6


def test_windows_have_the_stated_context():
    enhancer = short_windows(half)
    enhancer.enhance(noise(1, 100_000), 16_000)
    assert len(enhancer.model.seen) > 5
    assert {shape[1] // 256 for shape in enhancer.model.seen} == {enhancer.window // 256}


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("batch", [2, 3, 8])
def test_batch_size_does_not_change_the_output(channels, batch):
    noisy = noise(channels, 210_123)
    one = short_windows(levelled).enhance(noisy, 44_100)
    enhancer = Enhancer(Toy(levelled), window_seconds=0.64, overlap_seconds=0.16, batch=batch)
    assert np.abs(enhancer.enhance(noisy, 44_100) - one).max() < 1e-6
    largest = max(shape[0] for shape in enhancer.model.seen)
    assert largest == batch if channels == 1 else largest <= batch


@settings(deadline=None, max_examples=25)
@given(
    rate=st.sampled_from(RATES),
    sizes=st.lists(st.integers(1, 20_000), min_size=1, max_size=6),
    rate_out=st.sampled_from([None, 16_000, 48_000]),
    limit=st.sampled_from([None, 10]),
)
def test_blocks_equal_the_whole(rate, sizes, rate_out, limit):
    noisy = noise(2, sum(sizes))
    enhancer = short_windows(levelled)
    blocks = np.split(noisy, np.cumsum(sizes)[:-1], axis=1)
    parts = list(enhancer.enhance_blocks(blocks, rate, 2, rate_out=rate_out, limit_db=limit))
    joined = np.concatenate([*parts, np.zeros((2, 0))], axis=1)
    whole = enhancer.enhance(noisy, rate, rate_out=rate_out, limit_db=limit)
    assert joined.shape == whole.shape
    assert np.abs(joined - whole).max(initial=0) < 1e-6


@pytest.mark.parametrize("rate", [16_000, 48_000])
def test_silence_gives_silence_for_any_network(rate):
    noisy = np.zeros((2, 3 * rate), np.float32)
    noisy[0] = tone(rate, 3)
    out = short_windows(biased).enhance(noisy, rate)
    assert not out[1].any()
    assert out[0].any()


@pytest.mark.parametrize("limit", [0, 6, 20, 40])
def test_the_limit_attenuates_noise_equally_at_all_frequencies(limit):
    for hertz in (1_000, 15_000):
        noisy = tone(48_000, 1, hertz)
        out = short_windows(nothing).enhance(noisy, 48_000, limit_db=limit)
        assert np.abs(out - noisy * 10 ** (-limit / 20)).max() < 1e-6


def test_the_limit_does_not_change_what_the_network_keeps():
    noisy = noise(1, 50_000)
    assert np.abs(short_windows(lambda x: x).enhance(noisy, 16_000, limit_db=12) - noisy).max() < 1e-6


def test_the_limit_holds_at_another_output_rate():
    out = short_windows(nothing).enhance(tone(48_000, 1), 48_000, limit_db=6, rate_out=16_000)
    assert np.abs(out - tone(16_000, 1) * 10 ** (-6 / 20))[800:-800].max() < 1e-4


@pytest.mark.parametrize("limit", [-1, float("nan")])
def test_a_negative_limit_is_refused(limit):
    with pytest.raises(AudioError, match=r"^limit_db: .*got "):
        short_windows(half).enhance(noise(1, 10), 16_000, limit_db=limit)


@pytest.mark.parametrize("rate", RATES)
@pytest.mark.parametrize("rate_out", [8_000, 16_000, 44_100])
def test_another_output_rate_gives_that_many_samples(rate, rate_out):
    out = short_windows(half).enhance(tone(rate, 0.7), rate, rate_out=rate_out)
    assert len(out) == int(len(tone(rate, 0.7)) * rate_out / rate + 0.5)
    assert np.abs(out - tone(rate_out, 0.7)[: len(out)] / 2)[rate_out // 10 : -rate_out // 10].max() < 1e-4


def test_a_network_for_another_rate_is_fed_at_its_rate():
    enhancer = short_windows(half, sample_rate=48_000)
    enhancer.enhance(tone(16_000, 0.1), 16_000)
    assert 4_800 <= enhancer.model.seen[0][1] <= 4_810


def test_integers_come_back_as_floats_of_the_same_level():
    steps = (tone(16_000, 0.2) * 2**15).astype(np.int16)
    out = short_windows(half).enhance(steps, 16_000)
    assert np.array_equal(out, steps.astype(np.float32) / 2**16)


def test_several_microphones_become_one_channel():
    enhancer = Enhancer(Toy(lambda noisy: noisy[:, 0] / 2, microphones=4))
    noisy = noise(4, 5_000)
    out = enhancer.enhance(noisy, 16_000)
    assert out.shape == (1, 5_000)
    assert np.abs(out - noisy[:1] / 2).max() < 1e-6
    assert enhancer.model.seen == [(1, 4, 5_000)]
    assert np.abs(enhancer.enhance(noisy, 16_000, limit_db=0) - noisy[:1]).max() < 1e-6
    with pytest.raises(AudioError, match=r"4 channels.* 2$"):
        enhancer.enhance(noisy[:2], 16_000)


def test_invalid_input_is_refused():
    enhancer = short_windows(half)
    with pytest.raises(AudioError, match="NaN"):
        enhancer.enhance(np.array([0, np.nan]), 16_000)
    with pytest.raises(AudioError, match="no samples"):
        enhancer.enhance(np.zeros((1, 0)), 16_000)
    with pytest.raises(AudioError, match="sample rate"):
        enhancer.enhance(np.zeros(10), 0)
    with pytest.raises(AudioError, match="transpose"):
        enhancer.enhance(np.zeros((16_000, 2)), 16_000)


def test_an_estimate_that_is_not_finite_is_not_passed_on():
    with pytest.raises(StillwaveError, match="not finite"):
        short_windows(lambda noisy: noisy / 0).enhance(noise(1, 100), 16_000)


def test_gpu_out_of_memory_is_reported():
    def full(noisy):
        raise torch.cuda.OutOfMemoryError("CUDA out of memory")

    with pytest.raises(StillwaveError, match=r"^cpu .*memory for 1 windows.*batch"):
        short_windows(full).enhance(noise(1, 100), 16_000)


@pytest.mark.parametrize(("window", "overlap"), [(10, 0), (10, 6), (10, -1), (1, 2)])
def test_windows_that_cannot_be_joined_are_refused(window, overlap):
    with pytest.raises(StillwaveError, match="cannot overlap"):
        Enhancer(Toy(), window_seconds=window, overlap_seconds=overlap)


def test_a_checkpoint_becomes_an_enhancer_that_equals_its_network(tmp_path):
    from stillwave import checkpoint
    from stillwave.models import build
    from stillwave.schema import ModelConfig

    torch.manual_seed(0)
    model = build(ModelConfig(channels=8, blocks=1)).eval()
    checkpoint.save(tmp_path / "c", model, checkpoint.Card(model=model.config))
    enhancer = inference.load(tmp_path / "c", device="cpu")
    noisy = noise(1, 20_000)
    with torch.inference_mode():
        expected = model(torch.from_numpy(noisy)).numpy()
    assert np.array_equal(enhancer.enhance(noisy, 16_000), expected)
    assert inference.load(tmp_path / "c").device in ("cpu", "cuda:0")
    for samples in (1, 2, 3, 700):
        assert enhancer.enhance(noise(2, samples), 48_000).shape == (2, samples)


@pytest.mark.parametrize("name", ["torch", "safetensors"])
def test_without_pytorch_the_error_names_the_extra(tmp_path, monkeypatch, name):
    monkeypatch.setitem(sys.modules, "stillwave.checkpoint", None)
    monkeypatch.delattr("stillwave.checkpoint", raising=False)

    class Missing:
        def find_spec(self, wanted, path=None, target=None):
            if wanted == "stillwave.checkpoint":
                raise ModuleNotFoundError(f"No module named '{name}'", name=name)

    monkeypatch.delitem(sys.modules, "stillwave.checkpoint")
    monkeypatch.setattr(sys, "meta_path", [Missing(), *sys.meta_path])
    with pytest.raises(MissingExtraError) as caught:
        inference.load(tmp_path)
    assert caught.value.extra == "train"
