"""Computed noises by their physics."""

import numpy as np
import pytest

from stillwave.data import synthetic_noise
from stillwave.data.synthetic_noise import COMPUTED

RATE = 16_000


def density(samples, points=RATE):
    """Mean power density of segments, by bins of RATE / points Hz."""
    rows = samples[: len(samples) // points * points].reshape(-1, points).astype(float)
    return np.mean(np.abs(np.fft.rfft(rows * np.hanning(points))) ** 2, axis=0)


@pytest.mark.parametrize("name", COMPUTED)
def test_every_kind_is_complete_finite_seeded_and_not_silent(name):
    for seed in range(40):
        samples = COMPUTED[name](np.random.default_rng(seed), 8000, RATE)
        assert samples.shape == (8000,)
        assert samples.dtype == np.float32
        assert np.sqrt(np.mean(samples.astype(float) ** 2)) == pytest.approx(1, rel=1e-3)
    np.testing.assert_array_equal(samples, COMPUTED[name](np.random.default_rng(seed), 8000, RATE))


@pytest.mark.parametrize("slope", [-9.0, -6.0, -3.0, 0.0, 3.0])
def test_the_spectrum_of_coloured_noise_has_the_slope_asked_for(slope):
    found = density(synthetic_noise.coloured(np.random.default_rng(1), 60 * RATE, RATE, slope), 4096)
    hertz = np.fft.rfftfreq(4096, 1 / RATE)
    band = (hertz > 60) & (hertz < 7500)
    # one point an octave counts alike: weight 1 / f
    fit = np.polyfit(np.log2(hertz[band]), 10 * np.log10(found[band]), 1, w=hertz[band] ** -0.5)
    assert fit[0] == pytest.approx(slope, abs=0.25)


@pytest.mark.parametrize("mains", [50.0, 60.0])
def test_hum_has_its_power_at_multiples_of_the_mains(mains):
    found = density(synthetic_noise.hum(np.random.default_rng(3), 10 * RATE, RATE, mains))
    multiples = np.arange(mains, 2000, mains).astype(int)
    near = np.unique(np.concatenate([multiples + i for i in range(-2, 3)]))
    assert found[near].sum() > 0.9 * found.sum()
    assert found[multiples[:4]].min() > 100 * np.median(found[multiples[0] + 10 : multiples[0] + 20])


def test_modulated_noise_varies_slowly_in_level():
    samples = synthetic_noise.modulated(np.random.default_rng(0), 20 * RATE, RATE, hertz=1.0)
    levels = 10 * np.log10(np.mean(samples.reshape(-1, RATE // 10).astype(float) ** 2, axis=1))
    assert 4 < np.ptp(levels) < 45
    steady = 10 * np.log10(
        np.mean(
            synthetic_noise.coloured(np.random.default_rng(0), 20 * RATE, RATE, 0).reshape(-1, RATE // 10)
            ** 2,
            axis=1,
        )
    )
    assert np.ptp(levels) > 3 * np.ptp(steady)


def test_clicks_are_sparse_and_as_many_as_asked_for():
    samples = synthetic_noise.clicks(np.random.default_rng(0), 10 * RATE, RATE, per_second=2.0)
    peaks = np.abs(samples).reshape(-1, RATE // 50).max(1)
    assert 5 <= np.count_nonzero(peaks > 0.1 * peaks.max()) <= 60
    assert np.mean(samples.astype(float) ** 4) > 20, "far from Gaussian, whose fourth moment is 3"


def test_a_beep_has_its_frequency():
    found = density(synthetic_noise.beeps(np.random.default_rng(2), 4 * RATE, RATE, hertz=1000.0))
    assert abs(int(np.argmax(found)) - 1000) <= 2
    near = sum(found[k - 30 : k + 31].sum() for k in (1000, 2000, 3000))
    assert near > 0.9 * found.sum()
