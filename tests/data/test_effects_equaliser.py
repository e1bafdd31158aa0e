"""The random equaliser by its gains at frequencies."""

import numpy as np
import pytest

from stillwave.data.effects import draw_curve, equalise, gain_db

RATE = 16_000


def tone(hertz, frames=RATE):
    return (0.3 * np.sin(2 * np.pi * hertz * np.arange(frames) / RATE)).astype(np.float32)


@pytest.mark.parametrize("hertz", [60, 180, 540, 1600, 4000])
def test_a_tone_gets_the_gain_of_the_curve_without_a_delay(hertz):
    curve = draw_curve(np.random.default_rng(4), 9.0)
    equalised = equalise(tone(hertz), curve, RATE)[2000:-2000]
    wanted = tone(hertz)[2000:-2000] * 10 ** (gain_db(curve, np.array([float(hertz)]))[0] / 20)
    assert np.abs(equalised - wanted).max() < 0.02 * np.abs(wanted).max()


def test_curves_are_smooth_bounded_and_around_zero():
    hertz = np.geomspace(20, 8000, 500)
    for seed in range(50):
        curve = draw_curve(np.random.default_rng(seed), 9.0)
        gains = gain_db(curve, hertz)
        assert np.abs(gains).max() <= 9.0
        assert abs(curve.mean()) < 2
        octaves = np.diff(gains) / np.diff(np.log2(hertz))
        assert np.abs(octaves).max() < 24, "dB an octave"
    assert np.ptp(gain_db(np.zeros(6), hertz)) == 0


def test_a_level_curve_changes_nothing_and_signals_are_coloured_alike():
    noise = np.random.default_rng(0).standard_normal((2, 5000)).astype(np.float32)
    np.testing.assert_allclose(equalise(noise, np.zeros(6), RATE), noise, atol=1e-5)
    curve = draw_curve(np.random.default_rng(1), 9.0)
    both = equalise(noise, curve, RATE)
    np.testing.assert_allclose(both[1], equalise(noise[1], curve, RATE), atol=1e-5)
