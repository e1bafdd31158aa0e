"""How much the enhancement loss and the distillation count at each update: together, or one after the other."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from stillwave.distill.method import DistillError, resolve_method
from stillwave.schema import DistillConfig


class LossWeights(NamedTuple):
    """Factors of the two losses at one update: of L_SE, and of λ·L_KD."""

    enhancement: float
    distillation: float


class LossSchedule:
    """The schedule of a run, from the recipe and, where that is silent, from the method's own defaults.

    `joint`: L_SE + λ·L_KD throughout; over the first `warmup` of the updates λ rises linearly from 0.
    `two_step`: λ·L_KD alone, then L_SE alone (Daod Nathoo et al. 2309.08144; FitNets' two stages). Both steps
    come out of the same number of updates; optimiser and learning rate start anew at the second (our choice).

    With `restarts` all this is a matter of the updates before the first of them: what the losses count there in the
    end they count to the end of the run. The learning rate starts again at each.
    """

    def __init__(self, config: DistillConfig | None, steps: int, restarts: Sequence[int] = ()) -> None:
        self._ends = (*restarts, steps)
        steps = self._ends[0]
        self.second = 0
        """The update at which step two begins; 0 if there is one step."""
        self.rises = 0.0
        if config is None:
            return
        method = resolve_method(config.method)
        if (config.schedule or method.schedule) == "two_step":
            share = config.first_step if config.first_step is not None else method.first_step
            self.second = min(max(round(share * steps), 1), steps - 1) if steps > 1 else 0
        warmup = config.warmup if config.warmup is not None else method.warmup
        self.rises = warmup * (self.second or steps)

    def shares(self, step: int) -> LossWeights:
        """Of update `step`, from 0."""
        if step < self.second:
            return LossWeights(0.0, self._risen(step))
        if self.second:
            return LossWeights(1.0, 0.0)
        return LossWeights(1.0, self._risen(step))

    def span(self, step: int) -> tuple[int, int]:
        """(updates done, updates in all) of the schedule of learning rates that update `step` belongs to."""
        if step < self.second:
            return step, self.second
        first = max((end for end in self._ends if end <= step), default=self.second)
        return step - first, next((end for end in self._ends if end > step), self._ends[-1]) - first

    def _risen(self, step: int) -> float:
        return min(1.0, (step + 1) / self.rises) if self.rises > 0 else 1.0


def published_weight(config: DistillConfig) -> float:
    """λ as printed for the method. Raises DistillError where none is known."""
    weight = resolve_method(config.method).published_weight
    if weight is None:
        raise DistillError(
            f"distill.weight: no published weight is known for '{config.method.name}'; "
            "give a number or 'balanced'"
        )
    return weight
