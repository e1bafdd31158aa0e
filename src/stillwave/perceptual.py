"""A differentiable approximation of the PESQ disturbance.

After ITU-T P.862 and P.862.2, and as a loss after Martín-Doñas et al., "A deep learning loss function based on the
perceptual evaluation of the speech quality" (IEEE SPL 25(11), 2018). Both signals are scaled to the same speech level,
analysed in Bark bands, compensated for a filter and for slow changes of gain, converted to loudness after Zwicker, and
compared; added components have more weight than missing ones. Bands, thresholds and weights follow published formulas
instead of the tables of the standard, and signals are not aligned in time: this is a loss, not a measurement. Report
scores of `pesq`.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from stillwave.stft import Stft

SPEECH_SPL = 79.0
"""Level of the speech in dB SPL, as P.862 sets it; a power of 1 is 0 dB SPL."""
BANDS = 49
_SYMMETRIC, _ASYMMETRIC = 0.1, 0.0309
"""Weights of the mean disturbances on the scale of PESQ, which begins at 4.5 (P.862, 10.2.18)."""


class PerceptualDistance(nn.Module):
    """Points lost on the raw scale of PESQ: below 0.001 for equal signals, several points for noise.

    It does not depend on level or polarity of the estimate, nor on components below the threshold of hearing. Values
    and gradients are finite if either signal is silent.
    """

    def __init__(self, sample_rate: int = 16_000) -> None:
        super().__init__()
        self.stft = Stft()
        hz = torch.linspace(0, sample_rate / 2, self.stft.bins)
        edges = torch.linspace(float(bark(hz[1:2])) - 0.2, float(bark(hz[-1:])), BANDS + 1)
        self.width = float(edges[1] - edges[0])
        centres = (edges[1:] + edges[:-1]) / 2
        self.register_buffer("bands", _bands(bark(hz), edges) / self.width, persistent=False)
        self.register_buffer("threshold", 10 ** (hearing_threshold(hertz(centres)) / 10), persistent=False)
        # Zwicker's exponent is 0.23; below 4 Bark loudness grows faster (P.862, 10.2.1.5).
        steep = torch.where(centres < 4, (6 / (centres + 2)).clamp(1, 2) ** 0.15, torch.ones(()))
        self.register_buffer("exponent", 0.23 * steep, persistent=False)
        self.register_buffer("speech", ((hz >= 350) & (hz <= 3250)).float(), persistent=False)

    bands: Tensor
    threshold: Tensor
    exponent: Tensor
    speech: Tensor

    def forward(self, estimate: Tensor, clean: Tensor) -> Tensor:
        """Compare estimate and clean reference, [B, N] at 16 kHz each; return points [B]."""
        degraded, reference = self._pitch_power(estimate), self._pitch_power(clean)
        reference = reference * self._filter(degraded, reference)
        degraded = degraded * self._gain(degraded, reference)
        loud, quiet = self._loudness(degraded), self._loudness(reference)
        difference = loud - quiet
        masked = 0.25 * torch.minimum(loud, quiet)
        audible = difference.sign() * (difference.abs() - masked).clamp(min=0)
        added = ((degraded + 50) / (reference + 50)) ** 1.2
        added = torch.where(added < 3, torch.zeros_like(added), added.clamp(max=12))
        symmetric = ((audible * self.width).square().sum(-1) + 1e-6).sqrt() * (BANDS * self.width) ** 0.5
        asymmetric = (audible.abs() * added * self.width).sum(-1)
        weight = ((self._audible_power(reference) + 1e5) / 1e7) ** -0.04
        points = _SYMMETRIC * (symmetric * weight).clamp(max=45) + _ASYMMETRIC * (asymmetric * weight).clamp(
            max=45
        )
        return _over_time(points)

    def _pitch_power(self, waveform: Tensor) -> Tensor:
        """Return power per Bark, [B, T, K], of the signal scaled to the level of speech."""
        power = torch.view_as_real(self.stft.analyse(waveform)).square().sum(-1)
        level = (power * self.speech).sum(-1).mean(-1) + 1e-7
        return (power / level[:, None, None]) @ self.bands * 10 ** (SPEECH_SPL / 10)

    def _audible_power(self, power: Tensor) -> Tensor:
        return (power * (power > self.threshold)).sum(-1) * self.width

    def _filter(self, degraded: Tensor, reference: Tensor) -> Tensor:
        """Estimate the gain of a constant filter, [B, 1, K], within ±20 dB, from frames with speech."""
        active = (self._audible_power(reference) > 1e6).unsqueeze(-1)
        means = [(power * active).mean(1, keepdim=True) + 1e3 for power in (degraded, reference)]
        return (means[0] / means[1]).clamp(0.01, 100.0)

    def _gain(self, degraded: Tensor, reference: Tensor) -> Tensor:
        """Estimate the inverse of a slowly changing gain, [B, T, 1]."""
        ratio = (self._audible_power(reference) + 5e3) / (self._audible_power(degraded) + 5e3)
        smooth, before = [], ratio[:, 0]
        for now in ratio.unbind(1):
            before = 0.2 * before + 0.8 * now
            smooth.append(before)
        return torch.stack(smooth, 1).clamp(3e-4, 5.0).unsqueeze(-1)

    def _loudness(self, power: Tensor) -> Tensor:
        """Return loudness in sone per Bark, after Zwicker."""
        grown = (0.5 + 0.5 * power / self.threshold) ** self.exponent - 1
        sone = 0.1866 * (self.threshold / 0.5) ** self.exponent * grown
        return torch.where(power > self.threshold, sone, torch.zeros_like(sone))


def _over_time(points: Tensor, split: int = 20) -> Tensor:
    """Average over time, [B, T] → [B]: quadratic mean of sixth-power means over 0.3 s, overlapping by half."""
    if points.shape[1] < split:
        points = nn.functional.pad(points, (0, split - points.shape[1]))
    splits = points.unfold(1, split, split // 2)
    peaks = ((splits + 1e-6) ** 6).mean(-1) ** (1 / 6)
    return peaks.square().mean(-1).sqrt()


def bark(hz: Tensor) -> Tensor:
    """Convert Hz to critical-band rate (Traunmüller 1990, with corrections at both ends)."""
    z = 26.81 * hz / (1960 + hz) - 0.53
    z = torch.where(z < 2, z + 0.15 * (2 - z), z)
    return torch.where(z > 20.1, z + 0.22 * (z - 20.1), z)


def hertz(z: Tensor) -> Tensor:
    """Convert critical-band rate to Hz, the inverse of `bark`."""
    z = torch.where(z < 2, (z - 0.3) / 0.85, z)
    z = torch.where(z > 20.1, (z + 0.22 * 20.1) / 1.22, z)
    return 1960 * (z + 0.53) / (26.28 - z)


def hearing_threshold(hz: Tensor) -> Tensor:
    """Return the threshold of hearing in quiet, in dB SPL (Terhardt 1979)."""
    khz = hz.clamp(min=20) / 1000
    return 3.64 * khz**-0.8 - 6.5 * torch.exp(-0.6 * (khz - 3.3).square()) + 1e-3 * khz**4


def _bands(bin_bark: Tensor, edges: Tensor) -> Tensor:
    """Return the fraction of each bin, half a bin wide to each side, in each band: [bins, K]."""
    half = torch.diff(bin_bark, append=bin_bark[-1:] + (bin_bark[-1] - bin_bark[-2])) / 2
    low, high = (bin_bark - half)[:, None], (bin_bark + half)[:, None]
    overlap = torch.minimum(high, edges[1:]) - torch.maximum(low, edges[:-1])
    return overlap.clamp(min=0) / (high - low)
