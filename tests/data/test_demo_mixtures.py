"""Rooms and mixtures of the demo corpus."""

from __future__ import annotations

import numpy as np
import pytest

from stillwave.data.demo.mixtures import mix, room

RATE = 16_000


def noise(seed: int, seconds: float = 1.0) -> np.ndarray:
    return (0.1 * np.random.default_rng(seed).normal(size=int(seconds * RATE))).astype(np.float32)


@pytest.mark.parametrize("rt60", [0.2, 0.5])
def test_a_room_decays_by_its_reverberation_time(rt60: float) -> None:
    response = np.mean(
        [room(np.random.default_rng(s), RATE, rt60)[1:].astype(float) ** 2 for s in range(40)], 0
    )
    left = np.cumsum(response[::-1])[::-1]  # Schroeder's backward integration
    db = 10 * np.log10(left / left[0])
    at = [np.argmax(db < level) / RATE for level in (-5, -25)]
    assert 3 * (at[1] - at[0]) == pytest.approx(rt60, rel=0.15)


def test_a_room_starts_with_the_direct_sound() -> None:
    response = room(np.random.default_rng(0), RATE)
    assert response[0] == 1
    assert not response[1:16].any()
    assert np.abs(response[1:]).max() < 1


@pytest.mark.parametrize("snr_db", [-5, 0, 15])
@pytest.mark.parametrize("reverberant", [False, True])
def test_the_noise_has_the_requested_snr(snr_db: float, reverberant: bool) -> None:
    response = np.zeros(1000, np.float32)
    response[0] = 1
    response[900] = 0.5  # 56 ms: in the mixture, but not in the target
    speech = noise(0)
    rng = np.random.default_rng(1)
    mixed = mix(speech, noise(2), snr_db, RATE, rng, response if reverberant else None)
    gain = np.dot(mixed.clean, speech) / np.dot(speech, speech)
    heard = gain * np.convolve(speech, response)[:RATE] if reverberant else mixed.clean
    ratio = np.sum(heard**2) / np.sum((mixed.noisy - heard) ** 2)
    assert 10 * np.log10(ratio) == pytest.approx(snr_db, abs=0.01)


def test_the_target_of_a_room_is_its_first_50_ms() -> None:
    response = room(np.random.default_rng(5), RATE, 0.4)
    impulse = np.zeros(RATE, np.float32)
    impulse[100] = 1
    mixed = mix(impulse, noise(1), 20, RATE, np.random.default_rng(0), response)
    gain = mixed.clean[100]
    np.testing.assert_allclose(mixed.clean[100:900], gain * response[:800], atol=1e-6)
    assert np.abs(mixed.clean[901:]).max() < 1e-6


def test_loud_mixtures_are_scaled_together() -> None:
    speech = np.zeros(RATE, np.float32)
    speech[::2000] = 1
    mixed = mix(speech, noise(1), -5, RATE, np.random.default_rng(0))
    assert np.abs(mixed.noisy).max() <= 0.981
    residual = mixed.noisy - mixed.clean
    assert 10 * np.log10(np.sum(mixed.clean**2) / np.sum(residual**2)) == pytest.approx(-5, abs=0.01)


def test_short_noise_is_looped() -> None:
    mixed = mix(noise(0, 2), noise(1, 0.3), 0, RATE, np.random.default_rng(0))
    residual = mixed.noisy - mixed.clean
    np.testing.assert_allclose(residual[:4800], residual[4800:9600], atol=1e-6)
