"""The synthesised noises do what their names say, seen by their spectra and envelopes."""

from __future__ import annotations

import numpy as np
import pytest

from stillwave.data.demo import noises

RATE = 16_000


def rng(seed: int = 3) -> np.random.Generator:
    return np.random.default_rng(seed)


def density(samples: np.ndarray, points: int = 4096) -> tuple[np.ndarray, np.ndarray]:
    """Welch: frequencies and mean power over windows."""
    windows = np.lib.stride_tricks.sliding_window_view(samples, points)[:: points // 2]
    power = np.abs(np.fft.rfft(windows * np.hanning(points))) ** 2
    return np.fft.rfftfreq(points, 1 / RATE), power.mean(0)


def energy_near(samples: np.ndarray, hertz: float, width: float = 6.0) -> float:
    spectrum = np.abs(np.fft.rfft(samples * np.hanning(len(samples)))) ** 2
    frequency = np.fft.rfftfreq(len(samples), 1 / RATE)
    return float(spectrum[np.abs(frequency - hertz) < width].sum())


@pytest.mark.parametrize("kind", sorted(noises.NOISES))
def test_every_noise_has_the_length_the_level_and_no_clipping(kind: str) -> None:
    samples = noises.NOISES[kind](rng(), 2.5, RATE)
    assert samples.shape == (40_000,)
    assert samples.dtype == np.float32
    assert np.abs(samples).max() < 1
    level = 10 * np.log10(np.mean(samples.astype(float) ** 2))
    assert -35 < level < -24.9


@pytest.mark.parametrize("kind", sorted(noises.NOISES))
def test_a_noise_is_a_function_of_its_generator(kind: str) -> None:
    make = noises.NOISES[kind]
    np.testing.assert_array_equal(make(rng(1), 0.5, RATE), make(rng(1), 0.5, RATE))
    assert not np.array_equal(make(rng(1), 0.5, RATE), make(rng(2), 0.5, RATE))


@pytest.mark.parametrize("exponent", [0.0, 1.0, 2.0])
def test_coloured_noise_falls_by_its_exponent(exponent: float) -> None:
    frequency, power = density(noises.coloured(rng(), 20, RATE, exponent))
    band = (frequency > 100) & (frequency < 7000)
    slope = np.polyfit(np.log(frequency[band]), np.log(power[band]), 1)[0]
    assert slope == pytest.approx(-exponent, abs=0.08)


@pytest.mark.parametrize("mains", [50.0, 60.0])
def test_hum_lies_on_the_multiples_of_its_mains(mains: float) -> None:
    samples = noises.hum(rng(), 4, RATE, mains)
    for k in range(1, 8):
        between = energy_near(samples, (k + 0.5) * mains)
        assert energy_near(samples, k * mains) > 30 * between
    assert energy_near(samples, 110 - mains) < 0.05 * energy_near(samples, mains)


def test_impacts_come_as_often_as_asked_and_are_sparse() -> None:
    samples = noises.impacts(rng(), 30, RATE, per_second=3)
    peaks = np.abs(samples).reshape(-1, RATE // 50).max(1)  # one value each 20 ms
    loud = peaks > 0.1 * peaks.max()
    onsets = np.count_nonzero(loud[1:] & ~loud[:-1])
    assert 45 < onsets < 135  # 90 expected, some within 20 ms of each other
    kurtosis = np.mean(samples**4) / np.mean(samples**2) ** 2
    assert kurtosis > 10  # 3 for Gaussian noise


@pytest.mark.parametrize("hertz", [0.5, 4.0])
def test_swell_is_modulated_at_its_rate(hertz: float) -> None:
    samples = noises.swell(rng(), 20, RATE, hertz)
    envelope = (samples**2).reshape(-1, RATE // 50).mean(1)  # 50 values a second
    spectrum = np.abs(np.fft.rfft(envelope - envelope.mean()))
    assert np.fft.rfftfreq(len(envelope), 1 / 50)[spectrum.argmax()] == pytest.approx(hertz, abs=0.06)


def test_rain_is_bright_and_wind_is_dark() -> None:
    frequency, bright = density(noises.rain(rng(), 5, RATE))
    _, dark = density(noises.wind(rng(), 5, RATE))
    low = frequency < 1300
    assert bright[low].sum() < 0.3 * bright.sum()
    assert dark[low].sum() > 0.8 * dark.sum()


def test_a_machine_turns_with_its_shaft() -> None:
    samples = noises.machine(rng(), 4, RATE, hertz=80)
    on = sum(energy_near(samples, 80 * k) for k in range(1, 6))
    off = sum(energy_near(samples, 80 * (k + 0.5)) for k in range(1, 6))
    assert on > 10 * off


def test_a_fan_has_a_tone_over_broadband_air() -> None:
    samples = noises.fan(rng(), 4, RATE, hertz=140)
    assert energy_near(samples, 140, 1) > 20 * energy_near(samples, 180, 1)
    frequency, power = density(samples)
    assert power[frequency > 1000].sum() > 0.01 * power.sum()


def test_an_alarm_is_intermittent() -> None:
    samples = noises.alarm(rng(), 6, RATE, hertz=1000)
    level = np.sqrt((samples**2).reshape(-1, RATE // 100).mean(1))
    quiet = level < 0.2 * level.max()
    assert 0.2 < quiet.mean() < 0.8
    assert energy_near(samples, 1000, 30) > 10 * energy_near(samples, 700, 30)


def test_chirps_are_between_1_5_and_6_khz() -> None:
    frequency, power = density(noises.chirps(rng(), 6, RATE))
    inside = (frequency > 1300) & (frequency < 6300)
    assert power[inside].sum() > 0.95 * power.sum()


def test_babble_contains_every_voice_and_loops_them() -> None:
    time = np.arange(RATE) / RATE
    voices = [np.sin(2 * np.pi * f * time).astype(np.float32) for f in (300, 700, 1100)]
    samples = noises.babble(rng(), 2.5, RATE, voices)
    assert len(samples) == 40_000
    heard = [energy_near(samples, f) for f in (300, 700, 1100)]
    assert max(heard) < 4.1 * min(heard)  # levels within 6 dB
    assert min(heard) > 50 * energy_near(samples, 500)
