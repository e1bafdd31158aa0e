"""Properties of the test signals."""

from __future__ import annotations

import numpy as np
import pytest

from evaluate_pretrained import signals
from stillwave.data.effects import active_level, decibels, level
from stillwave.schema import SAMPLE_RATE


def power(samples: np.ndarray, low: float, high: float, rate: int = SAMPLE_RATE) -> float:
    spectrum = np.abs(np.fft.rfft(samples)) ** 2
    frequency = np.fft.rfftfreq(len(samples), 1 / rate)
    return float(spectrum[(frequency >= low) & (frequency < high)].sum())


@pytest.mark.parametrize("make", [signals.white, signals.room_tone, signals.music])
def test_level_length_and_seed(make) -> None:
    samples = make(3.0, -40.0)
    assert samples.dtype == np.float32
    assert len(samples) == 3 * SAMPLE_RATE
    assert decibels(level(samples)) == pytest.approx(-40, abs=0.01)
    assert np.array_equal(samples, make(3.0, -40.0))
    assert not np.array_equal(samples, make(3.0, -40.0, seed=1))


def test_a_plucked_string_has_its_pitch_and_decays() -> None:
    note = signals.plucked(np.random.default_rng(0), 220.0, 2.0)
    # A period of whole samples and a half is within 0.7 % of this pitch; its harmonics hold all of the power.
    near = sum(power(note, 0.98 * k * 220, 1.02 * k * 220) for k in range(1, 15))
    assert near > 0.9 * power(note, 20, 3300)
    assert level(note[-SAMPLE_RATE // 2 :]) < 0.2 * level(note[: SAMPLE_RATE // 2])


def test_a_telephone_has_half_the_rate_and_its_band() -> None:
    narrow = signals.telephone(signals.white(2.0, -20))
    assert len(narrow) == 2 * signals.TELEPHONE
    inside = power(narrow, 400, 3000, signals.TELEPHONE) / 2600
    assert power(narrow, 0, 200, signals.TELEPHONE) / 200 < 0.01 * inside
    assert power(narrow, 3700, 4000, signals.TELEPHONE) / 300 < 0.02 * inside


def test_an_overdriven_recording_is_clipped_at_its_level() -> None:
    samples = signals.white(1.0, -20)
    cut = signals.overdriven(samples, 12.0)
    assert np.abs(cut).max() == pytest.approx(np.abs(samples).max() * 10 ** (-12 / 20), rel=1e-6)
    untouched = np.abs(samples) < np.abs(cut).max()
    assert np.array_equal(cut[untouched], samples[untouched])
    assert not signals.overdriven(np.zeros(4, np.float32)).any()


def test_two_talkers_have_the_requested_level_difference() -> None:
    rng = np.random.default_rng(0)
    one, other = (size * rng.standard_normal(n).astype(np.float32) for size, n in ((0.3, 9000), (0.01, 7000)))
    first, second = signals.together(one, other, -10.0)
    assert len(first) == len(second) == 7000
    assert decibels(active_level(second)) - decibels(active_level(first)) == pytest.approx(-10, abs=0.01)


def test_the_far_field_room_has_its_rt60() -> None:
    response = signals.far_field()
    energy = np.cumsum(response[::-1].astype(np.float64) ** 2)[::-1]
    decay = 10 * np.log10(energy / energy[0])
    at = [int(np.argmax(decay < limit)) for limit in (-5, -25)]
    assert 3 * (at[1] - at[0]) / SAMPLE_RATE == pytest.approx(
        signals.RT60, rel=0.35
    )  # T20; images, not diffuse
    # 4 m from the source, the reverberation is louder than the direct sound
    start = int(np.argmax(np.abs(response)))
    assert level(response[start + 160 :]) * len(response[start + 160 :]) > 0.5 * float(
        (response[: start + 160] ** 2).sum()
    )


def test_a_room_keeps_speech_aligned() -> None:
    click = np.zeros(SAMPLE_RATE, np.float32)
    click[1000] = 1
    received, target = signals.in_room(click, signals.far_field())
    assert np.abs(target).argmax() == 1000
    after = 1000 + round(signals.EARLY_MS * SAMPLE_RATE / 1000) + 2
    assert np.abs(target[after:]).max() < 1e-6
    assert np.abs(received[after:]).max() > 1e-3
