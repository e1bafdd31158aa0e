"""Which few layers are compared where a method does not take all, and averages that run over batches."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

import torch
from torch import Tensor, nn

from stillwave.distill.method import Shapes
from stillwave.distill.pairing import LayerPair, one_to_one

SLOWEST = 0.01
"""Least share of a new batch in a running average."""


def bottleneck_pair(shapes: Shapes, where: Literal["middle", "encoder"]) -> LayerPair:
    """The last pair of the set of that name.

    Where no set has the name: of the set in the middle of the depth (of two, the first: an encoder's end), or
    of the first set.
    """
    pairs = one_to_one(shapes)
    sets = list(dict.fromkeys(pair.set for pair in pairs))
    fallback = sets[(len(sets) - 1) // 2] if where == "middle" else sets[0]
    name = where if where in sets else fallback
    return [pair for pair in pairs if pair.set == name][-1]


def bottleneck_pairs(pairs: Sequence[LayerPair]) -> list[LayerPair]:
    """One pair a set, the nearest to the bottleneck: the last, and of a set named `decoder` the first."""
    by_set: dict[str, list[LayerPair]] = {}
    for pair in pairs:
        by_set.setdefault(pair.set, []).append(pair)
    return [group[0] if name == "decoder" else group[-1] for name, group in by_set.items()]


class RunningAverage(nn.Module):
    """Average of a batch statistic of one number a channel: the mean of the first 100 batches, then exponential.

    It moves in training mode only, carries no gradient, and is saved. Until it has seen a batch, what it is
    given stands for it.
    """

    average: Tensor
    batches: Tensor

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.register_buffer("average", torch.zeros(channels))
        self.register_buffer("batches", torch.zeros((), dtype=torch.int64))

    def forward(self, statistic: Tensor) -> Tensor:
        """[C] of this batch → [C] of all batches up to this."""
        statistic = statistic.detach()
        share = (1.0 / (self.batches + 1)).clamp_min(SLOWEST).to(statistic.dtype)
        moved = self.average.to(statistic.dtype).lerp(statistic, share)
        if self.training:
            self.average.copy_(moved)
            self.batches.add_(1)
            return moved
        return torch.where(self.batches > 0, self.average.to(statistic.dtype), statistic)
