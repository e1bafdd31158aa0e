"""Measures of lost speech and remaining noise, on signals with known values."""

from __future__ import annotations

import numpy as np
import pytest

from evaluate_pretrained import levels

FRAME = levels.FRAME
RNG = np.random.default_rng(0)


def noise(frames: int, size: float) -> np.ndarray:
    return (size * RNG.standard_normal(frames * FRAME)).astype(np.float32)


@pytest.fixture
def clean() -> np.ndarray:
    """10 silent frames, 20 of speech, 10 that are 40 dB weaker."""
    return np.concatenate([np.zeros(10 * FRAME, np.float32), noise(20, 0.1), noise(10, 0.001)])


def test_speech_is_what_is_within_30_db_of_the_loudest_frame(clean: np.ndarray) -> None:
    assert levels.speech_frames(clean).tolist() == [False] * 10 + [True] * 20 + [False] * 10
    assert levels.pause_frames(clean).tolist() == [True] * 8 + [False] * 24 + [True] * 8


def test_silence_is_counted_as_pause() -> None:
    silent = np.zeros(5 * FRAME, np.float32)
    assert not levels.speech_frames(silent).any()
    assert levels.pause_frames(silent).all()
    assert levels.lost_share(silent, silent) == 0


def test_halved_speech_is_attenuated_by_6_db(clean: np.ndarray) -> None:
    assert levels.attenuation_db(clean, clean / 2) == pytest.approx(6.02, abs=0.01)
    assert levels.attenuation_db(clean, clean) == pytest.approx(0, abs=1e-6)


def test_remaining_noise_does_not_hide_lost_speech(clean: np.ndarray) -> None:
    estimate = clean / 4 + noise(40, 0.1)
    assert levels.attenuation_db(clean, estimate) == pytest.approx(12.04, abs=1)
    assert levels.lowered_db(clean, estimate) < 1


def test_removed_or_inverted_speech_is_fully_attenuated(clean: np.ndarray) -> None:
    assert levels.attenuation_db(clean, np.zeros_like(clean)) == 60
    assert levels.attenuation_db(clean, -clean) == 60


def test_the_fraction_of_lost_frames(clean: np.ndarray) -> None:
    estimate = clean.copy()
    estimate[10 * FRAME : 15 * FRAME] = 0  # 5 of 20
    estimate[15 * FRAME : 20 * FRAME] /= 2  # 6 dB: not gone
    assert levels.lost_share(clean, estimate) == 0.25


def test_pauses_are_measured_apart_from_speech(clean: np.ndarray) -> None:
    noisy = clean + 0.1
    pauses = levels.pause_frames(clean)
    after = noisy.copy()
    after.reshape(-1, FRAME)[pauses] /= 10
    assert levels.lowered_db(noisy, after, pauses) == pytest.approx(20, abs=1e-3)
    assert np.isnan(levels.lowered_db(noisy, after, np.zeros(40, bool)))


def test_each_part_of_a_sum_keeps_its_own_gain() -> None:
    one, other = noise(100, 0.1), noise(100, 0.01)
    found = levels.gains_db(one / 2 + 2 * other, [one, other])
    assert found == pytest.approx([-6.02, 6.02], abs=0.02)
    assert levels.gains_db(one, [one, other])[1] == -60
