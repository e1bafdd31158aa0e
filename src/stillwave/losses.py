"""Enhancement losses between estimate and clean speech. All but `perceptual` depend on polarity.

Waveforms are [B, N], full scale ±1. Every loss is computed in float32 (without autocast), is smallest where the
estimate equals the clean signal, and is finite with finite gradients if either signal is silent.

| term | depends on the level of the estimate | effect of a common gain |
|---|---|---|
| `compressed` | yes | grows as gain^0.6 (at c = 0.3): quiet examples have nearly the same weight as loud ones |
| `si_sdr` | no | none |
| `multi_resolution` | yes | none, down to its floor of -60 dBFS |
| `perceptual` (`perceptual.py`) | no | none, down to -90 dBFS |
"""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn

from stillwave.perceptual import PerceptualDistance
from stillwave.schema import SAMPLE_RATE, LossConfig
from stillwave.stft import Stft

_POWER = 1e-8
"""Floor of a mean power, -80 dBFS; below it a signal is silence."""
_CEILING = 1e-6
"""Bounds the signed SI-SDR to ±60 dB, so that a perfect estimate has a finite loss."""


class EnhancementLoss(nn.Module):
    """The weighted sum of the terms that the `loss` section of a recipe enables."""

    def __init__(self, config: LossConfig, sample_rate: int = SAMPLE_RATE) -> None:
        super().__init__()
        self.config = config
        more = sample_rate // SAMPLE_RATE
        stft = Stft(512 * more, 256 * more)
        self.compressed = CompressedSpectrum(config.compression, config.magnitude_share, stft)
        self.multi_resolution = MultiResolution((256 * more, 512 * more, 1024 * more))
        self.perceptual = PerceptualDistance()

    def forward(self, estimate: Tensor, clean: Tensor) -> dict[str, Tensor]:
        """Compute the losses of a batch.

        Args:
            estimate: Estimate [B, N].
            clean: Clean reference [B, N].

        Returns:
            Each enabled term, unweighted and averaged over the batch, and the weighted sum `total`.

        """
        with torch.autocast(estimate.device.type, enabled=False):
            estimate, clean = estimate.float(), clean.float()
            terms: dict[str, Tensor] = {}
            if self.config.compressed:
                terms["compressed"] = self.compressed(estimate, clean)
            if self.config.si_sdr:
                terms["si_sdr"] = -signed_si_sdr(estimate, clean).mean()
            if self.config.multi_resolution:
                terms["multi_resolution"] = self.multi_resolution(estimate, clean)
            if self.config.perceptual:
                terms["perceptual"] = self.perceptual(estimate, clean).mean()
            weighted = [getattr(self.config, name) * term for name, term in terms.items()]
            return {**terms, "total": torch.stack(weighted).sum()}


class CompressedSpectrum(nn.Module):
    """Squared error of power-law compressed spectra: a complex part and a magnitude part.

    (1 - m) · mean |X̂_c - X_c|² + m · mean (|X̂|^c - |X|^c)², with X_c = X · (|X|² + 1e-8)^((c-1)/2) and
    |X|^c = (|X|² + 1e-8)^(c/2), whose gradient at 0 is finite. Spectra are computed from waveforms, so that
    inconsistent parts of a masked spectrum, which overlap-add removes, have no effect.
    """

    def __init__(
        self, compression: float = 0.3, magnitude_share: float = 0.7, stft: Stft | None = None
    ) -> None:
        super().__init__()
        self.compression = compression
        self.magnitude_share = magnitude_share
        self.stft = stft or Stft()

    def forward(self, estimate: Tensor, clean: Tensor) -> Tensor:
        """Return the mean over batch, frames and bins."""
        estimate_complex, estimate_magnitude = self._compress(estimate)
        clean_complex, clean_magnitude = self._compress(clean)
        difference = torch.view_as_real(estimate_complex - clean_complex)
        complex_part = difference.square().sum(-1).mean()
        magnitude_part = (estimate_magnitude - clean_magnitude).square().mean()
        return (1 - self.magnitude_share) * complex_part + self.magnitude_share * magnitude_part

    def _compress(self, waveform: Tensor) -> tuple[Tensor, Tensor]:
        spectrum = self.stft.analyse(waveform)
        power = torch.view_as_real(spectrum).square().sum(-1) + 1e-8
        return spectrum * power ** ((self.compression - 1) / 2), power ** (self.compression / 2)


def signed_si_sdr(estimate: Tensor, clean: Tensor) -> Tensor:
    """Return a scale-invariant signal-to-distortion ratio in dB that depends on polarity: [B, N] twice → [B].

    With ρ the correlation of the two signals (means removed), SI-SDR is 10 log₁₀ ρ²/(1 - ρ²): the same for ρ and -ρ, so
    that it accepts an inverted estimate. This ratio is 10 log₁₀ (1 + ρ)/(1 - ρ) - 6.02 dB: it increases with ρ, and
    because (1 + ρ)²/4ρ² → 1 it equals SI-SDR for good estimates (within 0.11 dB above 13 dB). It is computed as
    (1 + ρ)/(1 - ρ) = |ê + ŝ|²/|ê - ŝ|² for unit-norm ê and ŝ, because 1 - ρ is inaccurate near ρ = 1.

    If either signal is silent (mean power far below 1e-8) it is -6.02 dB, and a silent target gives no gradient;
    `compressed` does.
    """
    a, b = _unit_power(estimate), _unit_power(clean)
    together = (a + b).square().mean(-1) + _CEILING
    apart = (a - b).square().mean(-1) + _CEILING
    return 10 * torch.log10(together / apart) - 20 * math.log10(2)


def _unit_power(signal: Tensor) -> Tensor:
    signal = signal - signal.mean(-1, keepdim=True)
    return signal * torch.rsqrt(signal.square().mean(-1, keepdim=True) + _POWER)


class MultiResolution(nn.Module):
    """Spectral convergence and log-magnitude distance at several window lengths (after Yamamoto et al. 2020).

    For each: sqrt((mean |X̂ - X|² + ε)/(mean |X|² + ε)) + mean |ln |X̂| - ln |X||, ε = 1e-6 (-60 dBFS) for
    powers scaled to those of the samples. The convergence is of complex spectra and depends on polarity: an inverted
    perfect estimate has 2, silence 1. The lowest value is sqrt(ε/(mean |X|² + ε)): 0 except for very quiet targets.
    """

    def __init__(self, sizes: tuple[int, ...] = (256, 512, 1024), floor: float = 1e-6) -> None:
        super().__init__()
        self.sizes = sizes
        self.floor = floor
        for size in sizes:
            self.register_buffer(f"window_{size}", torch.hann_window(size), persistent=False)

    def forward(self, estimate: Tensor, clean: Tensor) -> Tensor:
        """Return the mean over batch and resolutions."""
        distances = [self._distance(size, estimate, clean) for size in self.sizes]
        return torch.stack(distances).mean()

    def _distance(self, size: int, estimate: Tensor, clean: Tensor) -> Tensor:
        a, b = self._spectrum(size, estimate), self._spectrum(size, clean)
        error, wanted = ((x.square().sum(-1).mean((1, 2)) + self.floor) for x in (a - b, b))
        log_a, log_b = ((x.square().sum(-1) + self.floor).log() / 2 for x in (a, b))
        return (error / wanted).sqrt().mean() + (log_a - log_b).abs().mean()

    def _spectrum(self, size: int, waveform: Tensor) -> Tensor:
        window: Tensor = getattr(self, f"window_{size}")
        spectrum = torch.stft(
            waveform, size, size // 4, window=window, pad_mode="constant", return_complex=True
        )
        return torch.view_as_real(spectrum) / window.square().sum().sqrt()
