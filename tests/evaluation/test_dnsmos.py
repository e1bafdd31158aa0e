"""DNSMOS is the published program's, window by window."""

from __future__ import annotations

import numpy as np
import pytest
from voices import RATE, noisy, voice

pytest.importorskip("speechmos")

from stillwave.evaluation.dnsmos import dnsmos, window_starts


@pytest.mark.slow
@pytest.mark.parametrize("seconds", [2.0, 4.48, 9.01, 12.5])
def test_the_values_are_those_of_the_package(seconds):
    pytest.importorskip("librosa")
    from speechmos import dnsmos as published

    estimate = noisy(voice(seconds), 10)
    estimate /= 2 * np.abs(estimate).max()
    expected = published.run(estimate, sr=RATE)
    for key, value in dnsmos(estimate).items():
        assert value == pytest.approx(float(expected[key]), abs=1e-5)


def test_windows_lie_within_the_recording():
    for length in range(int(9.01 * RATE), 60 * RATE, 4_321):
        starts = window_starts(length)
        assert starts[0] == 0
        assert starts[-1] + int(9.01 * RATE) <= length
