"""The development set: a score to stop and choose by, measured the way evaluation measures it."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import torch
from torch import Tensor, nn

from stillwave.data.dataset import Signals
from stillwave.data.effects import Samples
from stillwave.train.distributed import World

Metric = Callable[[Samples, Samples], float]
"""(clean [N], estimate [N]) → score, higher is better; raises or gives NaN where there is none."""

SHOWN = 3


@dataclass(frozen=True)
class Validation:
    """Mean score over the items that have one; `skipped` have none (a silent reference, say)."""

    score: float | None
    items: int
    skipped: int
    estimates: list[Samples] = field(default_factory=list, repr=False)
    """Of the first few items, for listening; only on the first process."""


def validate(model: nn.Module, items: Sequence[Signals], metric: Metric, world: World) -> Validation:
    """Score a network, in eval mode meanwhile, on whole recordings one by one, shared by the processes."""
    was_training = model.training
    model.eval()
    scores: dict[int, float] = {}
    estimates: list[Samples] = []
    for index in range(world.rank, len(items), world.size):
        estimate = _enhance(model, items[index], world.device)
        scores[index] = _score(metric, items[index].clean, estimate)
        if index < SHOWN * world.size and len(estimates) < SHOWN:
            estimates.append(estimate)
    model.train(was_training)
    merged = {index: score for part in world.everyones(scores) for index, score in part.items()}
    valid = [merged[index] for index in sorted(merged) if math.isfinite(merged[index])]
    mean = math.fsum(valid) / len(valid) if valid else None
    return Validation(mean, len(items), len(items) - len(valid), estimates)


@torch.no_grad()
def _enhance(model: nn.Module, item: Signals, device: torch.device) -> Samples:
    estimate: Tensor = model(torch.from_numpy(item.noisy)[None].to(device))
    samples: Samples = estimate[0].float().cpu().numpy()
    return samples


def _score(metric: Metric, clean: Samples, estimate: Samples) -> float:
    try:
        return float(metric(clean, estimate))
    except (
        Exception
    ):  # metrics fail in their own ways (PESQ: no utterance found); the count of them is reported
        return math.nan
