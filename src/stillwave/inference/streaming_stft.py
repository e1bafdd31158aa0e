"""The STFT of `stillwave.stft` in NumPy, for signals in blocks of any size.

Arrays are `[R, …]` for R independent signals. Frame t holds the samples (t − 1)·hop … (t + 1)·hop − 1, with silence
before the first, and is complete after (t + 1)·hop samples; with frame t, the samples (t − 1)·hop … t·hop − 1 of the
estimate are complete.
"""

from __future__ import annotations

import math
from functools import cache

import numpy as np
from numpy.typing import NDArray

from stillwave.audio import Samples

Spectrum = NDArray[np.complex64]


@cache
def sqrt_hann(n_fft: int) -> Samples:
    """Return w(n) = sin(πn/n_fft), the square root of the periodic Hann window."""
    window: Samples = np.sin(np.arange(n_fft) * (math.pi / n_fft)).astype(np.float32)
    window.flags.writeable = False  # cached and shared
    return window


def analyze_frames(frames: Samples) -> Spectrum:
    """Return the spectra `[..., F]` of frames `[..., n_fft]`."""
    return np.fft.rfft(frames * sqrt_hann(frames.shape[-1])).astype(np.complex64, copy=False)


def synthesize_frames(spectra: Spectrum, n_fft: int) -> Samples:
    """Return the windowed frames `[..., n_fft]` of spectra `[..., F]`."""
    frames: Samples = np.fft.irfft(spectra, n=n_fft).astype(np.float32, copy=False) * sqrt_hann(n_fft)
    return frames


class Framer:
    """Collect blocks `[R, n]` of any size into frames `[R, T, n_fft]`."""

    def __init__(self, rows: int, hop: int) -> None:
        self.hop = hop
        self.held = np.zeros((rows, hop), np.float32)
        """Last samples of the signal: one hop and an incomplete one."""

    def push(self, block: Samples) -> Samples:
        """Return the frames that `block` completes, T ≥ 0."""
        signal = np.concatenate([self.held, block], axis=1)
        count = signal.shape[1] // self.hop - 1
        self.held = signal[:, count * self.hop :].copy()
        if count == 1:
            return signal[:, None, : 2 * self.hop]
        halves = signal[:, : (count + 1) * self.hop].reshape(len(signal), count + 1, self.hop)
        return np.concatenate([halves[:, :-1], halves[:, 1:]], axis=2)


class OverlapAdder:
    """Synthesise samples `[R, m]` from consecutive spectra `[R, T, F]`.

    m is T·hop, and one hop less at the first call, which skips the samples before the signal.
    """

    def __init__(self, rows: int, n_fft: int) -> None:
        self.n_fft = n_fft
        self.held = np.zeros((rows, 0), np.float32)
        """Second half of the last frame; empty before the first."""

    def push(self, spectra: Spectrum) -> Samples:
        """Return the samples `[R, m]` that `spectra` complete."""
        if not spectra.shape[1]:
            return np.zeros((len(spectra), 0), np.float32)
        return self.add(synthesize_frames(spectra, self.n_fft))

    def add(self, frames: Samples) -> Samples:
        """Return the same for frames `[R, T, n_fft]` of `synthesize_frames`, T ≥ 1."""
        hop = self.n_fft // 2
        if frames.shape[1] == 1 and self.held.shape[1]:
            ready: Samples = frames[:, 0, :hop] + self.held
            self.held = frames[:, 0, hop:]
            return ready
        summed = frames[..., :hop].copy()
        summed[:, 1:] += frames[:, :-1, hop:]
        begun = self.held.shape[1] > 0
        if begun:
            summed[:, 0] += self.held
        self.held = frames[:, -1, hop:].copy()
        samples: Samples = summed.reshape(len(frames), -1)[:, 0 if begun else hop :]
        return samples
