"""The short-time Fourier transform and its inverse.

Frame t holds the samples (t − 1)·hop … (t + 1)·hop − 1; the signal is
padded with zeros. Windows are the square root of the periodic Hann window, w(n)² = sin²(πn/n_fft). With hop = n_fft/2,
w(n)² + w(n + hop)² = sin² + cos² = 1: the windows of the two frames of every sample sum to one, so
that overlap-add is the exact inverse.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn

from stillwave.errors import StillwaveError


class Stft(nn.Module):
    """STFT with half-overlapping frames; a frame depends only on its own samples.

    Examples:
        >>> stft = Stft()
        >>> spectrum = stft.analyse(torch.ones(2, 16_000))
        >>> spectrum.shape, spectrum.dtype
        (torch.Size([2, 64, 257]), torch.complex64)
        >>> stft.synthesise(spectrum, 16_000).sub(1).abs().max().item() < 1e-6
        True

    """

    window: Tensor

    def __init__(self, n_fft: int = 512, hop: int = 256) -> None:
        super().__init__()
        if hop < 1 or n_fft != 2 * hop:
            raise StillwaveError(f"hop must be half of n_fft, got n_fft = {n_fft} and hop = {hop}")
        self.n_fft, self.hop, self.bins = n_fft, hop, hop + 1
        window = torch.sin(torch.arange(n_fft, dtype=torch.float64) * (math.pi / n_fft))
        self.register_buffer("window", window, persistent=False)

    def frames(self, samples: int) -> int:
        """Return the number of frames of a signal: ceil(samples / hop) + 1.

        Examples:
            >>> tuple(Stft().frames(n) for n in (1, 256, 257))
            (2, 2, 3)

        """
        return -(-samples // self.hop) + 1

    def analyse(self, waveform: Tensor) -> Tensor:
        """Transform real `[..., N]` (N ≥ 1) to complex `[..., T, F]`; float32 gives complex64, float64 complex128."""
        samples = waveform.shape[-1]
        if samples < 1:
            raise StillwaveError("cannot analyse an empty signal; give at least one sample")
        blocks = self.frames(samples) + 1
        padded = nn.functional.pad(waveform, (self.hop, (blocks - 1) * self.hop - samples))
        halves = padded.reshape(*waveform.shape[:-1], blocks, self.hop)
        frames = torch.cat([halves[..., :-1, :], halves[..., 1:, :]], dim=-1)
        spectrum: Tensor = torch.fft.rfft(frames * self.window.to(frames.dtype))
        return spectrum

    def synthesise(self, spectrum: Tensor, samples: int) -> Tensor:
        """Transform complex `[..., T, F]` to real `[..., samples]` by overlap-add; T must be `frames(samples)`."""
        expected = (self.frames(samples), self.bins)
        if samples < 1 or spectrum.shape[-2:] != expected:
            raise StillwaveError(
                f"{samples} samples need a spectrum of {expected[0]} frames × {expected[1]} bins, "
                f"got {tuple(spectrum.shape[-2:])}"
            )
        frames: Tensor = torch.fft.irfft(spectrum, n=self.n_fft)
        frames = frames * self.window.to(frames.dtype)
        first, second = frames[..., : self.hop], frames[..., self.hop :]
        overlapped = first[..., 1:, :] + second[..., :-1, :]
        return overlapped.flatten(-2)[..., :samples]
