"""The change of rate of live sound: place, level, what passes and what does not, and its own arithmetic."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from stillwave.inference.streaming_resampler import StreamingResampler

RATES = [8_000, 11_025, 16_000, 22_050, 44_100, 44_101, 48_000, 96_000]


def tone(rate: int, hertz: float, seconds: float = 0.2) -> np.ndarray:
    time = np.arange(round(rate * seconds)) / rate
    return np.sin(2 * np.pi * hertz * time).astype(np.float32)[None]


def inner(signal: np.ndarray, rate: int) -> np.ndarray:
    return signal[:, rate // 50 : -rate // 50]


@pytest.mark.parametrize("rate", RATES)
@pytest.mark.parametrize("to", [16_000, 48_000])
def test_a_tone_keeps_its_level_and_alignment(rate, to):
    found = StreamingResampler(rate, to, 1).push(tone(rate, 1_000))
    expected = tone(to, 1_000)[:, : found.shape[1]]
    assert np.abs(inner(found - expected, to)).max() < 1e-4


def test_frequencies_above_the_lower_nyquist_are_removed():
    for hertz in (8_500, 12_000, 20_000):
        found = StreamingResampler(48_000, 16_000, 1).push(tone(48_000, hertz))
        assert np.abs(inner(found, 16_000)).max() < 1e-4, hertz
    # … nor are there mirror images of a tone on the way up
    found = StreamingResampler(16_000, 48_000, 1).push(tone(16_000, 6_900))
    assert np.abs(inner(found - tone(48_000, 6_900)[:, : found.shape[1]], 48_000)).max() < 1e-3


def test_a_constant_passes_exactly_and_silence_is_silence():
    found = StreamingResampler(44_100, 16_000, 1).push(np.ones((1, 5_000), np.float32))
    assert np.abs(found[:, 50:] - 1).max() < 1e-6
    assert not StreamingResampler(44_100, 16_000, 1).push(np.zeros((1, 5_000), np.float32)).any()


@settings(deadline=None, max_examples=60)
@given(
    rates=st.tuples(st.sampled_from(RATES), st.sampled_from(RATES)),
    sizes=st.lists(st.integers(0, 700), min_size=1, max_size=6),
)
def test_blocks_equal_the_whole_and_counts_are_predictable(rates, sizes):
    signal = 0.1 * np.random.default_rng(0).standard_normal((2, sum(sizes))).astype(np.float32)
    change, came, given_out = StreamingResampler(*rates, 2), 0, []
    for block in np.split(signal, np.cumsum(sizes)[:-1], axis=1):
        given_out.append(change.push(block))
        came += block.shape[1]
        assert sum(part.shape[1] for part in given_out) == change.ready(np.array(came))
    whole = StreamingResampler(*rates, 2).push(signal)
    assert np.abs(np.concatenate(given_out, axis=1) - whole).max(initial=0) < 1e-6


@pytest.mark.parametrize("rates", [(48_000, 16_000), (16_000, 44_100), (44_101, 16_000), (16_000, 16_000)])
def test_needed_is_the_smallest_sufficient_number(rates):
    change = StreamingResampler(*rates, 1)
    for outputs in (1, 2, 3, 100, 101, 12_345):
        needed = change.needed(np.array(outputs))
        assert change.ready(needed) >= outputs
        assert change.ready(needed - 1) < outputs


def test_equal_rates_are_bit_identical():
    signal = tone(16_000, 440)
    assert StreamingResampler(16_000, 16_000, 1).push(signal) is signal
