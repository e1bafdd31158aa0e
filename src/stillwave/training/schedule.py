"""The learning rate of each update, and the average of the weights."""

from __future__ import annotations

import math

from torch import Tensor, nn
from torch.optim.swa_utils import AveragedModel

from stillwave.schema import OptimiserConfig


def learning_rate(config: OptimiserConfig, steps: int, step: int) -> float:
    """Return the rate of update `step` (0 … steps - 1): linear from lr/warm-up to lr, then a half cosine to lr · final.

    A run shorter than its warm-up ends within it.
    """
    if step < config.warmup_steps:
        return config.lr * (step + 1) / config.warmup_steps
    last = steps - 1 - config.warmup_steps
    done = min(1.0, (step - config.warmup_steps) / last) if last > 0 else 1.0
    return config.lr * (config.final + (1 - config.final) * (1 + math.cos(math.pi * done)) / 2)


def averaged(student: nn.Module, decay: float) -> AveragedModel:
    """Return an exponential moving average of the student's weights: θ̄ ← d·θ̄ + (1 - d)·θ after each update.

    d = min(decay, (1 + n)/(10 + n)) at update n, so that the random initial weights have little weight in short runs.
    """

    def average(mean: Tensor, current: Tensor, updates: Tensor | int) -> Tensor:
        n = int(updates)
        d = min(decay, (1 + n) / (10 + n))
        return mean.lerp(current, 1 - d)

    return AveragedModel(student, avg_fn=average)
