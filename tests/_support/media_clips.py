"""Sounds and pictures for tests of files that go through ffmpeg."""

from __future__ import annotations

import numpy as np

RATE = 44_100
SECONDS = 1.5

PICTURE = ("-f", "lavfi", "-i", f"testsrc=size=64x48:rate=25:duration={SECONDS}")
MPEG4 = ("-c:v", "mpeg4", "-q:v", "20")


def sound(seconds: float = SECONDS, rate: int = RATE) -> np.ndarray:
    """Mono noise in bursts, so that a shift is found."""
    time = np.arange(round(seconds * rate)) / rate
    noise = np.random.default_rng(0).standard_normal(len(time))
    smooth = np.convolve(noise, np.ones(16) / 16, "same")
    return (0.3 * smooth * (1 + np.sin(2 * np.pi * 3 * time))).astype(np.float32)


def lag(found: np.ndarray, expected: np.ndarray) -> int:
    """By how many samples `found` is later."""
    size = 1 << (len(found) + len(expected)).bit_length()
    both = np.fft.irfft(np.fft.rfft(found, size) * np.conj(np.fft.rfft(expected, size)))
    peak = int(both.argmax())
    return peak if peak < size // 2 else peak - size
