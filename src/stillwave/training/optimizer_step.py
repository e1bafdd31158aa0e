"""One update of the weights: forward, backward over the accumulated batches, clipping, AdamW."""

from __future__ import annotations

import contextlib
import math
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.parallel import DistributedDataParallel
from torch.nn.utils import clip_grad_norm_

from stillwave.data.dataset import Batch
from stillwave.distill.balance import Balance
from stillwave.distill.schedule import LossSchedule, LossWeights, published_weight
from stillwave.schema import DistillConfig, Recipe
from stillwave.training.distributed import World
from stillwave.training.gradient_monitor import GradientMonitor
from stillwave.training.objective import Objective, Terms, distils, parameter_groups
from stillwave.training.schedule import learning_rate

_HALF = {"bf16": torch.bfloat16, "fp16": torch.float16}


@dataclass
class StepResult:
    """What an update did; with `bad`, which batch stopped it and why."""

    values: dict[str, Any] = field(default_factory=dict)
    bad: Batch | None = None
    reason: str = ""
    gradients: dict[str, float | None] = field(default_factory=dict)
    """Norms at the student by term, where they were looked at; None for one that is not finite."""
    silent: list[str] = field(default_factory=list)
    """Terms of which it is time to say that they stay at zero."""


class OptimizerStep:
    """Optimiser, loss scaling and the weight λ of distillation: all that moves the objective's parameters."""

    def __init__(self, recipe: Recipe, objective: Objective, world: World) -> None:
        self.recipe, self.objective, self.world = recipe, objective, world
        settings = recipe.optimiser
        self.connectors = objective.connectors()
        groups = parameter_groups([*objective.student_parameters(), *self.connectors], settings.weight_decay)
        self.optimiser = torch.optim.AdamW(groups, lr=settings.lr, betas=settings.betas)
        half = recipe.train.precision if world.device.type == "cuda" else "fp32"  # a CPU gains nothing by it
        self.half = _HALF.get(half)
        self.scaler = torch.amp.GradScaler(world.device.type, enabled=half == "fp16")
        config = recipe.distill if distils(recipe) else None
        self.balance, self.fixed_weight = _find_weight(config)
        self.plan = LossSchedule(config, recipe.train.steps, settings.restarts)
        self.watch = GradientMonitor(recipe)
        self._seen: dict[str, float] = {}
        self.moving = False
        """Whether an update has begun to change weights; whoever asked for it resets this when all of it is done."""

    def step(self, shared: nn.Module, group: list[Batch], step: int) -> StepResult:
        """Update once from the accumulated batches; not at all if a loss or a gradient is not finite."""
        done, steps = self.plan.span(step)
        if step == self.plan.second:
            self.optimiser.state.clear()
        rate = learning_rate(self.recipe.optimiser, steps, done)
        for parameters in self.optimiser.param_groups:
            parameters["lr"] = rate
        shares = self.plan.weights(step)
        self.optimiser.zero_grad()
        sums: dict[str, float] = {}
        self._seen = {}
        for number, batch in enumerate(group):
            with self._synchronised(shared, number == len(group) - 1):
                look = number == 0 and self.watch.due(step)
                named = self._backward(shared, batch, len(group), shares, look=look)
            bad = [name for name, value in named.items() if not math.isfinite(value)]
            if bad:
                self.optimiser.zero_grad()
                return StepResult(bad=batch, reason=f"loss not finite ({', '.join(bad)})")
            for name, value in named.items():
                sums[name] = sums.get(name, 0.0) + value / len(group)
        norm = self._apply()
        if not math.isfinite(norm) and not self.scaler.is_enabled():
            return StepResult(bad=group[-1], reason="gradient not finite")
        weight = {"lambda": sums.pop("lambda")} if "lambda" in sums else {}
        return StepResult(
            {"loss": sums, **weight, "lr": rate, "grad_norm": norm if math.isfinite(norm) else None},
            gradients={name: x if math.isfinite(x) else None for name, x in self._seen.items()},
            silent=self.watch.silent(sums),
        )

    def _backward(
        self, shared: nn.Module, batch: Batch, parts: int, shares: LossWeights, *, look: bool
    ) -> dict[str, float]:
        """Gradients of one batch's part of the loss; its terms, averaged over the processes."""
        with torch.autocast(self.world.device.type, dtype=self.half, enabled=self.half is not None):
            terms: Terms = shared(batch.noisy, batch.clean, distil=shares.distillation > 0)
        enhancement = terms.enhancement["total"]
        distance = torch.stack([*terms.distillation.values()]).sum() if terms.distillation else None
        named = self._shared_values(terms)
        if not all(map(math.isfinite, named.values())):
            return named
        total = enhancement
        named["total"] = named["enhancement"]
        if distance is not None:
            if look:
                self._seen = self.watch.look(terms, self.objective.student_parameters())
            weight = self._weight(enhancement, distance) * shares.distillation
            # A loss of share 0 stays out of the graph: zero gradients would still decay weights.
            total = enhancement + weight * distance if shares.enhancement else weight * distance
            named["total"] *= shares.enhancement
            named["total"] += weight * sum(named[f"distill.{name}"] for name in terms.distillation)
            named["lambda"] = weight
        torch.autograd.backward(self.scaler.scale(total / parts))
        return named

    def _weight(self, enhancement: Tensor, distance: Tensor) -> float:
        """λ: the recipe's, or as balanced so far."""
        if self.balance is not None:
            measures = not self.balance.frozen
            weight = self.balance.weight(enhancement, distance, self.objective.student_parameters())
            if measures:
                self._seen = self._seen or self.balance.measured
            return weight
        return self.fixed_weight

    def _shared_values(self, terms: Terms) -> dict[str, float]:
        """Every term as a number, averaged over the processes; one process's NaN is everybody's."""
        named = {
            **{"enhancement" if name == "total" else name: term for name, term in terms.enhancement.items()},
            **{f"distill.{name}": term for name, term in terms.distillation.items()},
        }
        values = self.world.mean(torch.stack([term.detach().float() for term in named.values()]))
        return dict(zip(named, values.tolist(), strict=True))

    def _synchronised(self, shared: nn.Module, last: bool) -> contextlib.AbstractContextManager[None]:
        """Processes exchange gradients once an update, with its last batch."""
        if isinstance(shared, DistributedDataParallel) and not last:
            return shared.no_sync()
        return contextlib.nullcontext()

    def _apply(self) -> float:
        """Clip and step, unless a gradient is not finite. The student's gradient norm before clipping."""
        self.scaler.unscale_(self.optimiser)
        limit = self.recipe.optimiser.clip_norm
        # Apart, so that large gradients of a method's connectors do not shrink the student's step.
        norm = float(clip_grad_norm_(self.objective.student_parameters(), limit))
        others = float(clip_grad_norm_(self.connectors, limit)) if self.connectors else 0.0
        if (
            self.scaler.is_enabled()
        ):  # fp16 meets infinities as a matter of course: the scaler skips and adapts
            self.moving = True
            self.scaler.step(self.optimiser)
            self.scaler.update()
        elif math.isfinite(norm + others):
            self.moving = True
            self.optimiser.step()
        return norm + 0 * others

    def state(self) -> tuple[dict[str, Any], dict[str, Any]]:
        """λ's and the loss scaling's state, as JSON values."""
        return {} if self.balance is None else self.balance.state_dict(), self.scaler.state_dict()

    def restore(self, weight: dict[str, Any], scaler: dict[str, Any]) -> None:
        """Put `state` back."""
        if self.balance is not None:
            self.balance.load_state_dict(weight)
        self.scaler.load_state_dict(scaler)


def _find_weight(config: DistillConfig | None) -> tuple[Balance | None, float]:
    """What finds λ, or λ. Raises DistillError."""
    if config is None:
        return None, 0.0
    if config.weight == "balanced":
        return Balance(config.rho, config.balance_steps), 0.0
    return None, published_weight(config) if config.weight == "published" else config.weight
