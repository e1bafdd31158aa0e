"""Scores on the development set, for early stopping and the best checkpoint; measured as in evaluation."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn

from stillwave.audio import Samples
from stillwave.data.dataset import Signals
from stillwave.training.distributed import World

if TYPE_CHECKING:
    from stillwave.evaluation.metrics import Score

Metric = Callable[[Samples, Samples], "Score"]
"""(clean [N], estimate [N]) → a score (higher is better), or the reason why there is none."""

SHOWN = 3


@dataclass(frozen=True)
class Validation:
    """The mean score over the items that have one."""

    score: float | None
    items: int
    skipped: dict[str, int]
    """Number of items without a score, by reason (such as a silent reference)."""
    estimates: dict[int, Samples] = field(default_factory=dict, repr=False)
    """Estimates of the first items of this process, by index, for TensorBoard."""

    def summary(self, metric: str) -> str:
        """Return the score as text, with the reasons for items without one."""
        score = "no item could be scored" if self.score is None else f"{metric} {self.score:.3f}"
        reasons = ", ".join(f"{count} × {reason}" for reason, count in self.skipped.items())
        return f"{score}, skipped of {self.items}: {reasons}" if reasons else score


def validate(model: nn.Module, items: Sequence[Signals], metric: Metric, world: World) -> Validation:
    """Score a network in eval mode on whole recordings, one by one, shared by the processes."""
    was_training = model.training
    model.eval()
    scores: dict[int, Score] = {}
    estimates: dict[int, Samples] = {}
    for index in range(world.rank, len(items), world.size):
        estimate = _enhance(model, items[index], world.device)
        scores[index] = metric(items[index].clean, estimate)
        if len(estimates) < SHOWN:
            estimates[index] = estimate
    model.train(was_training)
    merged = {index: score for part in world.all_gather(scores) for index, score in part.items()}
    valid = [score.value for score in merged.values() if score.value is not None]
    skipped = Counter(score.reason for score in merged.values() if score.reason is not None)
    mean = math.fsum(valid) / len(valid) if valid else None  # exact: the order does not matter
    return Validation(mean, len(items), dict(sorted(skipped.items())), estimates)


@torch.no_grad()
def _enhance(model: nn.Module, item: Signals, device: torch.device) -> Samples:
    estimate: Tensor = model(torch.from_numpy(item.noisy)[None].to(device))
    samples: Samples = estimate[0].float().cpu().numpy()
    return samples
