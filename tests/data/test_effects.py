"""Each transform by its physics."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from stillwave.data import effects

RATE = 16_000
RNG = np.random.default_rng(0)
WHITE = RNG.standard_normal(RATE).astype(np.float32) * np.float32(0.1)


def tone(hertz, seconds=1.0, amplitude=0.5):
    return (amplitude * np.sin(2 * np.pi * hertz * np.arange(int(seconds * RATE)) / RATE)).astype(np.float32)


def test_levels_by_hand():
    assert effects.level(np.full(1000, 0.5, np.float32)) == pytest.approx(0.25)
    # Half of the frames hold a tone of amplitude 0.5 (power 0.125); the pauses do not count.
    half = np.concatenate([tone(500, 0.512), np.zeros(8192, np.float32)])
    assert effects.active_level(half) == pytest.approx(0.125, rel=1e-3)
    assert effects.level(half) == pytest.approx(0.0625, rel=1e-3)
    assert effects.active_level(np.full(10, 0.5, np.float32)) == pytest.approx(0.25)


@pytest.mark.parametrize("wanted", [-5.0, 0.0, 7.3, 20.0])
def test_the_snr_is_as_requested(wanted):
    speech = np.concatenate([tone(500, 0.512), np.zeros(8192, np.float32)])
    noise = effects.at_snr(speech, WHITE[: len(speech)], wanted)
    by_hand = 10 * np.log10(0.125 / np.mean(noise.astype(np.float64) ** 2))
    assert by_hand == pytest.approx(wanted, abs=0.01)


def test_a_room_without_walls_changes_nothing():
    delta = np.zeros(4000, np.float32)
    delta[123] = 1
    reverberant, target = effects.reverberate(WHITE, delta, RATE, 50)
    np.testing.assert_allclose(reverberant, WHITE, atol=1e-6)
    np.testing.assert_allclose(target, WHITE, atol=1e-6)


def test_an_early_reflection_stays_in_the_target_and_a_late_one_does_not():
    response = np.zeros(4000, np.float32)
    direct, early, late = 100, 100 + 799, 100 + 801  # 50 ms are 800 samples
    response[[direct, early, late]] = 1, 0.5, 0.25
    reverberant, target = effects.reverberate(WHITE, response, RATE, 50)
    shifted = {n: np.pad(WHITE, (n, 0))[: len(WHITE)] for n in (799, 801)}
    np.testing.assert_allclose(target, WHITE + 0.5 * shifted[799], atol=1e-6)
    np.testing.assert_allclose(reverberant - target, 0.25 * shifted[801], atol=1e-6)


def test_early_and_late_add_up_to_the_response_from_the_direct_sound_on():
    response = RNG.standard_normal(6000).astype(np.float32) * np.exp(-np.arange(6000) / 900).astype(
        np.float32
    )
    early, late = effects.split_response(response, RATE, 50)
    start = effects.direct_sound(response, RATE)
    np.testing.assert_array_equal(early + late, response[start:])
    assert not early[801:].any()
    assert not late[:801].any()


def test_the_direct_sound_is_not_the_strongest_reflection():
    response = np.zeros(3000, np.float32)
    response[[200, 900]] = -0.7, 1.0
    assert effects.direct_sound(response, RATE) == 200
    response[195:206] = np.array([0.1, 0.3, 0.52, 0.6, 0.65, 0.7, 0.6, 0.4, 0.3, 0.2, 0.1])
    assert effects.direct_sound(response, RATE) == 200


@pytest.mark.parametrize("shape", [(30,), (2, 30), (5000,)])
def test_convolution_equals_the_definition(shape):
    samples, responses = WHITE[:700], RNG.standard_normal(shape).astype(np.float32)
    rows = np.atleast_2d(responses)
    expected = np.stack([np.convolve(samples, row)[:700] for row in rows])
    np.testing.assert_allclose(np.atleast_2d(effects.convolve(samples, responses)), expected, atol=2e-5)
    assert effects.convolve(samples, responses).dtype == np.float32


@pytest.mark.parametrize("edge", [3000.0, 5200.0, 7500.0])
def test_a_band_limit_removes_only_what_is_above_it(edge):
    limited = effects.band_limit(WHITE, edge, RATE)
    window = np.hanning(RATE)
    spectrum = np.abs(np.fft.rfft(limited * window)) ** 2
    before = np.abs(np.fft.rfft(WHITE * window)) ** 2
    above = slice(int(edge) + 20, None)
    assert spectrum[above].sum() < 1e-6 * before[above].sum()
    below = tone(0.85 * edge)
    middle = slice(2000, -2000)
    np.testing.assert_allclose(effects.band_limit(below, edge, RATE)[middle], below[middle], atol=1e-3)


def test_clipping_stops_at_its_threshold():
    clipped = effects.clip(tone(300), 0.2)
    assert np.abs(clipped).max() == np.float32(0.2)
    small = np.abs(tone(300)) < 0.2
    np.testing.assert_array_equal(clipped[small], tone(300)[small])


def test_a_looped_tone_of_whole_periods_has_no_seam():
    period = tone(100, 0.32)  # 32 periods; the overlap of 800 samples holds 5
    looped = effects.loop(period, 3 * RATE, 800)
    assert len(looped) == 3 * RATE
    # Equal-power fades of equal signals overshoot by at most √2, and never click.
    assert np.abs(looped).max() <= 0.5 * np.sqrt(2) + 1e-4
    assert np.abs(np.diff(looped)).max() < 2.1 * np.abs(np.diff(period)).max()


def test_looped_noise_keeps_its_level():
    clip = WHITE[:4000]
    looped = effects.loop(clip, 10 * RATE, 800)
    blocks = [effects.level(block) for block in np.split(looped, 40)]
    assert np.ptp(10 * np.log10(blocks)) < 1.0
    np.testing.assert_array_equal(looped[:3000], clip[:3000])


@given(length=st.integers(1, 400), frames=st.integers(1, 3000), overlap=st.integers(0, 900))
@settings(max_examples=60)
def test_loops_have_the_length_asked_for(length, frames, overlap):
    looped = effects.loop(WHITE[:length], frames, overlap)
    assert looped.shape == (frames,)
    assert looped.dtype == np.float32
    assert np.isfinite(looped).all()


def test_fades_start_and_end_near_zero_and_leave_the_middle():
    faded = effects.fade(np.ones(1000, np.float32), 80)
    assert faded[0] < 0.02
    assert faded[-1] < 0.02
    assert (faded[80:-80] == 1).all()
    np.testing.assert_allclose(faded[:80] ** 2 + faded[:80][::-1] ** 2, 1, atol=1e-6)
    assert effects.fade(np.ones(1, np.float32), 80).tolist() == [1.0]


@given(st.integers(1, 200_000))
@settings(max_examples=200)
def test_fast_lengths_are_the_smallest_with_small_factors(length):
    found = effects.fast_length(length)
    assert length <= found <= 1 << (length - 1).bit_length()
    for factor in (2, 3, 5):
        while found % factor == 0:
            found //= factor
    assert found == 1
