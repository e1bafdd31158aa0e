"""Versions are played at one loudness: that of the speech in them."""

from __future__ import annotations

import numpy as np
import pytest

from stillwave.reports.listening import LIMIT, PEAK, match_loudness, matching_gains


@pytest.fixture
def parts() -> tuple[np.ndarray, np.ndarray]:
    """Speech, and noise that has nothing of it."""
    rng = np.random.default_rng(1)
    speech = 0.05 * rng.normal(size=16_000)
    noise = 0.05 * rng.normal(size=16_000)
    noise -= speech * np.dot(noise, speech) / np.dot(speech, speech)
    return speech.astype(np.float32), noise.astype(np.float32)


def speech_level(samples: np.ndarray, speech: np.ndarray) -> float:
    return float(np.dot(samples.astype(float), speech) / np.dot(speech.astype(float), speech))


def test_speech_has_the_level_of_the_clean_version_in_every_version(parts) -> None:
    speech, noise = parts
    signals = {
        "noisy": speech + noise,
        "alone": 0.65 * (speech + 0.5 * noise),
        "distilled": 0.6 * (speech + 0.2 * noise),
        "clean": speech,
    }
    found, gains = match_loudness(signals)
    assert gains["distilled"] == pytest.approx(-20 * np.log10(0.6), abs=1e-3)
    assert gains["noisy"] == pytest.approx(0, abs=1e-3)
    assert [speech_level(samples, speech) for samples in found.values()] == pytest.approx([1] * 4, abs=1e-4)
    left = found["distilled"] - speech
    assert np.sqrt(np.mean(left**2)) == pytest.approx(0.2 * np.sqrt(np.mean(noise**2)), rel=1e-3)


def test_without_a_clean_version_the_level_of_the_recording_is_matched(parts) -> None:
    speech, noise = parts
    gains = matching_gains({"noisy": speech + noise, "distilled": 0.5 * speech})
    assert gains == pytest.approx({"noisy": 1.0, "distilled": 2.0}, rel=1e-4)


def test_all_versions_are_attenuated_if_one_would_clip(parts) -> None:
    speech, noise = parts
    loud = 12 * speech
    found, gains = match_loudness({"noisy": loud + noise, "distilled": 0.5 * loud, "clean": loud})
    assert max(float(np.abs(samples).max()) for samples in found.values()) == pytest.approx(PEAK, rel=1e-5)
    assert found["distilled"] == pytest.approx(found["clean"], abs=1e-6)
    assert gains["clean"] == 0


def test_silence_and_extremes_are_not_amplified(parts) -> None:
    speech, _ = parts
    silent = np.zeros_like(speech)
    gains = matching_gains({"noisy": speech, "alone": silent, "distilled": 0.01 * speech, "clean": speech})
    assert gains["alone"] == 1
    assert gains["distilled"] == LIMIT
    found, _ = match_loudness({"noisy": silent, "alone": silent, "distilled": silent})
    assert not any(samples.any() for samples in found.values())
