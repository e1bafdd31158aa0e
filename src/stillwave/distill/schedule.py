"""The weights of enhancement loss and distillation loss at each update: joint or two-step."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from stillwave.distill.method import DistillError, resolve_method
from stillwave.schema import DistillConfig


class LossWeights(NamedTuple):
    """Factors at one update: of L_SE, and of λ·L_KD."""

    enhancement: float
    distillation: float


class LossSchedule:
    """The schedule of a run, from the recipe or else from the defaults of the method.

    - `joint`: L_SE + λ·L_KD; λ rises linearly from 0 over the fraction `warmup` of the updates.
    - `two_step`: λ·L_KD alone, then L_SE alone (Daod Nathoo et al. 2309.08144; the two stages of FitNets). The total
      number of updates does not change; optimiser and learning rate restart at the second step (choice of this
      project).

    Args:
        config: The `distill` section of a recipe; None for a training without a teacher.
        steps: Total number of updates.
        restarts: Updates at which the learning rate restarts. The schedule of the losses ends at the first of them; its
            last weights apply afterwards.

    Attributes:
        second: The update at which the second step begins; 0 if there is one step.
        rises: Number of updates over which λ rises.

    """

    def __init__(self, config: DistillConfig | None, steps: int, restarts: Sequence[int] = ()) -> None:
        self._ends = (*restarts, steps)
        steps = self._ends[0]
        self.second = 0
        self.rises = 0.0
        if config is None:
            return
        method = resolve_method(config.method)
        if (config.schedule or method.schedule) == "two_step":
            share = config.first_step if config.first_step is not None else method.first_step
            self.second = min(max(round(share * steps), 1), steps - 1) if steps > 1 else 0
        warmup = config.warmup if config.warmup is not None else method.warmup
        self.rises = warmup * (self.second or steps)

    def weights(self, step: int) -> LossWeights:
        """Return the factors of both losses at update `step`, from 0."""
        if step < self.second:
            return LossWeights(0.0, self._warmup_factor(step))
        if self.second:
            return LossWeights(1.0, 0.0)
        return LossWeights(1.0, self._warmup_factor(step))

    def span(self, step: int) -> tuple[int, int]:
        """Return (updates done, total updates) of the learning-rate schedule at update `step`."""
        if step < self.second:
            return step, self.second
        first = max((end for end in self._ends if end <= step), default=self.second)
        return step - first, next((end for end in self._ends if end > step), self._ends[-1]) - first

    def _warmup_factor(self, step: int) -> float:
        return min(1.0, (step + 1) / self.rises) if self.rises > 0 else 1.0


def published_weight(config: DistillConfig) -> float:
    """Return λ of the publication. Raise DistillError if it is unknown."""
    weight = resolve_method(config.method).published_weight
    if weight is None:
        raise DistillError(
            f"distill.weight: no published weight is known for '{config.method.name}'; use a number or 'balanced'"
        )
    return weight
