"""Resampling: physics (tones keep place, level and phase) and equality (blocks are the whole)."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from stillwave.audio import Resampler, resample

RATES = [8_000, 11_025, 16_000, 22_050, 24_000, 32_000, 44_100, 48_000, 88_200, 96_000, 192_000]


def tone(rate: int, seconds: float, hertz: float = 1_000.0) -> np.ndarray:
    time = np.arange(round(rate * seconds)) / rate
    return np.sin(2 * np.pi * hertz * time)[None].astype(np.float32)


@pytest.mark.parametrize("rate_in", RATES)
@pytest.mark.parametrize("rate_out", [8_000, 16_000, 44_100, 48_000])
def test_a_tone_keeps_its_level_polarity_and_alignment(rate_in, rate_out):
    out = resample(tone(rate_in, 0.48), rate_in, rate_out)
    expected = tone(rate_out, 0.48)
    assert abs(out.shape[1] - expected.shape[1]) <= 1
    inner = slice(rate_out // 20, rate_out * 9 // 20)  # away from the ends, where the tone is cut off
    assert np.abs(out[:, inner] - expected[:, inner]).max() < 1e-4


def test_there_is_no_aliasing():
    out = resample(tone(48_000, 0.5, 9_000), 48_000, 16_000)
    assert np.abs(out[:, 800:-800]).max() < 1e-4


def test_equal_rates_give_the_same_array():
    samples = tone(16_000, 0.1)
    assert resample(samples, 16_000, 16_000) is samples


@settings(max_examples=40, deadline=None)
@given(
    rate_in=st.sampled_from(RATES),
    rate_out=st.sampled_from(RATES),
    channels=st.integers(1, 3),
    sizes=st.lists(st.integers(0, 3_000), max_size=8),
    seed=st.integers(0, 2**32 - 1),
)
def test_blocks_equal_the_whole_signal(rate_in, rate_out, channels, sizes, seed):
    whole = np.random.default_rng(seed).standard_normal((channels, sum(sizes))).astype(np.float32)
    resampler = Resampler(rate_in, rate_out, channels)
    edges = np.cumsum([0, *sizes])
    parts = [resampler.push(whole[:, a:b]) for a, b in pairwise(edges)]
    parts.append(resampler.push(whole[:, :0], last=True))
    joined = np.concatenate(parts, axis=1)
    assert joined.shape == (channels, round(whole.shape[1] * rate_out / rate_in + 1e-9))
    assert np.array_equal(joined, resample(whole, rate_in, rate_out))
