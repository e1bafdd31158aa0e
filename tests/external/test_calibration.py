"""Delay, level and polarity of a denoiser are found and compensated; other faults are refused."""

from __future__ import annotations

import external_denoisers as cases
import numpy as np
import pytest

from stillwave.external import ExternalError, calibrate, compensated
from stillwave.external.function import FunctionDenoiser
from stillwave.external.probe import LEVEL, probe


def at(rate, function=cases.late):
    return FunctionDenoiser(function, rate)


@pytest.mark.parametrize("rate", [8_000, 16_000, 44_100, 48_000])
def test_the_probe_is_fixed_and_has_silence_at_both_ends(rate):
    signal = probe(rate)
    assert np.array_equal(signal, probe(rate))
    assert len(signal) == 4 * rate
    assert np.sqrt(np.mean(signal**2)) == pytest.approx(LEVEL, rel=1e-5)
    assert not signal[: round(0.3 * rate)].any()
    assert not signal[-round(0.5 * rate) :].any()


@pytest.mark.parametrize("rate", [16_000, 48_000])
def test_a_delay_of_137_samples_and_half_the_level_are_found_exactly(rate):
    found = calibrate(at(rate))
    assert (found.rate, found.delay, found.gain) == (rate, 137, 0.5)
    assert found.level_db == pytest.approx(-6.02, abs=0.01)


def test_the_compensated_estimate_is_the_input():
    denoiser = at(48_000)
    calibration = calibrate(denoiser)
    samples = np.random.default_rng(1).standard_normal((2, 4_800)).astype(np.float32)
    assert np.array_equal(compensated(denoiser, calibration, samples, 48_000), samples)


def test_the_input_is_resampled_to_the_rate_of_the_denoiser_and_back():
    denoiser = at(48_000)
    time = np.arange(16_000) / 16_000
    tone = np.sin(2 * np.pi * 1_000 * time)[None].astype(np.float32)
    estimate = compensated(denoiser, calibrate(denoiser), tone, 16_000)
    assert estimate.shape == tone.shape
    assert np.abs(estimate - tone)[:, 300:-300].max() < 1e-3


def test_an_early_output_is_compensated():
    denoiser = at(16_000, cases.early)
    calibration = calibrate(denoiser)
    assert (calibration.delay, calibration.gain) == (-29, 1.0)
    samples = np.random.default_rng(1).standard_normal((1, 900)).astype(np.float32)
    assert np.array_equal(compensated(denoiser, calibration, samples, 16_000), samples)


def test_an_inverted_output_is_compensated_and_reported():
    denoiser = at(16_000, cases.inverted)
    calibration = calibrate(denoiser)
    assert (calibration.delay, calibration.gain) == (5, -1.0)
    assert "inverted" in calibration.summary()
    samples = np.random.default_rng(1).standard_normal((1, 900)).astype(np.float32)
    assert np.array_equal(compensated(denoiser, calibration, samples, 16_000), samples)


def test_a_small_change_of_level_is_part_of_the_estimate():
    found = calibrate(at(16_000, lambda samples, rate: np.float32(0.9) * samples))
    assert found.gain == 1.0
    assert found.level_db == pytest.approx(-0.92, abs=0.01)
    assert "-0.9 dB (kept)" in found.summary()


def test_the_report_is_one_line():
    assert calibrate(at(48_000)).summary() == (
        "48000 Hz, output 137 samples (2.9 ms) late (compensated), level -6.0 dB (compensated)"
    )


@pytest.mark.parametrize(
    ("function", "words"),
    [
        (cases.drifting, "delay drifts"),
        (cases.short, "returned 63999 samples for 64000"),
        (cases.stereo, r"shape \[1, 2, 64000\]"),
        (cases.silent, "silence"),
        (cases.undefined, "64000 values that are NaN"),
        (cases.noise, "does not resemble"),
        (cases.crashing, "failed with ValueError: no memory left"),
        (cases.integers, "ndarray of int16"),
        (lambda samples, rate: None, "NoneType of object"),
    ],
)
def test_what_is_no_estimate_is_refused_with_one_sentence(function, words):
    with pytest.raises(ExternalError, match=words) as refused:
        calibrate(at(16_000, function))
    assert "\n" not in str(refused.value)
