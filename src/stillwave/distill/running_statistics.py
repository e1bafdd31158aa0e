"""Statistics of feature channels that are averaged over batches, and standardisation by them."""

from __future__ import annotations

import torch
from torch import Tensor, nn

MIN_SHARE = 0.01
"""Smallest weight of a new batch in a running average."""
MIN_VARIANCE = 1e-4
"""Smallest variance of a channel, relative to the mean over the channels, that standardisation divides by."""


class RunningAverage(nn.Module):
    """Average of a batch statistic of each channel: the mean of the first 100 batches, then exponential.

    It is updated in training mode only, is saved, and carries no gradient. Before the first update it returns its
    input.
    """

    average: Tensor
    batches: Tensor

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.register_buffer("average", torch.zeros(channels))
        self.register_buffer("batches", torch.zeros((), dtype=torch.int64))

    def forward(self, statistic: Tensor) -> Tensor:
        """Return the average over all batches up to this one, [C], given the statistic of this batch, [C]."""
        statistic = statistic.detach()
        share = (1.0 / (self.batches + 1)).clamp_min(MIN_SHARE).to(statistic.dtype)
        average = self.average.to(statistic.dtype).lerp(statistic, share)
        if self.training:
            self.average.copy_(average)
            self.batches.add_(1)
            return average
        return torch.where(self.batches > 0, self.average.to(statistic.dtype), statistic)


class Standardise(nn.Module):
    """Standardises each channel of constant feature maps by running mean and variance."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.means, self.variances = RunningAverage(channels), RunningAverage(channels)

    def forward(self, feature: Tensor) -> Tensor:
        """Return [B, C, T, D] with mean 0 and variance 1 in each channel. The statistics carry no gradient."""
        variance, mean = torch.var_mean(feature, (0, 2, 3), correction=0)
        mean, scale = self.means(mean), standard_deviation(self.variances(variance))
        standard: Tensor = (feature - mean[:, None, None]) / scale[:, None, None]
        return standard


def standard_deviation(variances: Tensor) -> Tensor:
    """Return the root of floored variances (see `floored`)."""
    return floored(variances, MIN_VARIANCE).sqrt()


def floored(variances: Tensor, relative: float) -> Tensor:
    """Raise variances [C] to at least `relative` times their mean; 1 if all are 0, so that roots have a gradient."""
    result = torch.maximum(variances, relative * variances.mean())
    return result.masked_fill(result <= 0, 1.0)
