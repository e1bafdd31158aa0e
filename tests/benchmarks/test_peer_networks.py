"""Frames of peers at 48 kHz: length and alignment of what comes back."""

from __future__ import annotations

import ctypes

import numpy as np
import pytest

import peer_networks

SIZE = 480


class DelayLine:
    """A denoiser that changes nothing and is late by whole frames."""

    def __init__(self, frames: int) -> None:
        self.past = [np.zeros(SIZE, np.float32)] * frames

    def __call__(self, source: int, target: int) -> None:
        read, write = (
            np.ctypeslib.as_array((ctypes.c_float * SIZE).from_address(a)) for a in (source, target)
        )
        self.past.append(read.copy())
        write[:] = self.past.pop(0)


@pytest.mark.parametrize("length", [1, 479, 480, 481, 4_801])
@pytest.mark.parametrize("frames", [2, 3])
def test_a_recording_of_48_khz_returns_aligned_and_unchanged(length: int, frames: int) -> None:
    samples = np.random.default_rng(0).standard_normal(length).astype(np.float32).clip(-1, 1)
    found = peer_networks.full_band(samples, 48_000, SIZE, frames * SIZE, DelayLine(frames))
    assert np.array_equal(found, samples)


def test_other_rates_return_at_their_length() -> None:
    t = np.arange(4_411) / 44_100
    tone = (0.5 * np.sin(2 * np.pi * 1_000 * t)).astype(np.float32)
    found = peer_networks.full_band(tone, 44_100, SIZE, 2 * SIZE, DelayLine(2))
    assert found.shape == tone.shape
    assert np.abs(found - tone)[200:-200].max() < 1e-3
