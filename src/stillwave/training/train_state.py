"""All that is trained in a run, and one update of it: forward, backward, clipping, AdamW. Does not touch files."""

from __future__ import annotations

import contextlib
import copy
import math
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn
from torch.nn.parallel import DistributedDataParallel
from torch.nn.utils import clip_grad_norm_

from stillwave.data.dataset import Batch
from stillwave.distill.schedule import Balance, LossSchedule, LossWeights, norms, published_weight
from stillwave.errors import StillwaveError
from stillwave.losses import EnhancementLoss
from stillwave.schema import DistillConfig, Recipe
from stillwave.training import schedule, state
from stillwave.training.distributed import World, share
from stillwave.training.gradient_monitor import GradientMonitor
from stillwave.training.networks import build_networks, input_shape
from stillwave.training.teachers import distils

_HALF = {"bf16": torch.bfloat16, "fp16": torch.float16}


@dataclass
class StepResult:
    """The outcome of an update; `bad` is the batch that prevented it, `reason` why."""

    values: dict[str, Any] = field(default_factory=dict)
    bad: Batch | None = None
    reason: str = ""
    gradients: dict[str, float | None] = field(default_factory=dict)
    """Gradient norms at the student by loss term, if they were measured; None for one that is not finite."""
    silent: list[str] = field(default_factory=list)
    """Terms to be reported because they stay at zero."""


class TrainState:
    """Student, connectors, averaged weights, optimiser and λ of a run.

    After `load(tensors(), progress)` training continues bit for bit on a CPU.
    """

    def __init__(self, recipe: Recipe, world: World, *, fresh: bool = True) -> None:
        self.recipe, self.world = recipe, world
        torch.manual_seed(recipe.seed)
        example = torch.zeros(share(recipe.train.batch_size, world), *input_shape(recipe))
        self.student, self.distiller = build_networks(recipe, example, fresh=fresh)
        (self.distiller or self.student).to(world.device)
        self.loss = EnhancementLoss(recipe.loss, recipe.model.sample_rate).to(world.device)
        self.parameters = [p for p in self.student.parameters() if p.requires_grad]
        self.connectors = [] if self.distiller is None else list(self.distiller.connectors())
        self.optimiser = _optimiser(recipe, [*self.parameters, *self.connectors])
        half = recipe.train.precision if world.device.type == "cuda" else "fp32"  # no gain on a CPU
        self.half = _HALF.get(half)
        self.scaler = torch.amp.GradScaler(world.device.type, enabled=half == "fp16")
        config = recipe.distill if distils(recipe) else None
        self.balance, self.fixed_weight = _distillation_weight(config)
        self.loss_schedule = LossSchedule(config, recipe.train.steps, recipe.optimiser.restarts)
        self.monitor = GradientMonitor(recipe)
        self.average = schedule.averaged(self.student, recipe.train.ema) if recipe.train.ema else None
        self._parallel: DistributedDataParallel | None = None
        self._gradients: dict[str, float] = {}
        self._before: _Before | None = None
        self._changing = False
        """Whether an update has begun to change weights and is not complete."""

    @property
    def exported(self) -> nn.Module:
        """The network that is validated and saved: the averaged one, if there is an average."""
        if self.average is None:
            return self.student
        averaged: nn.Module = self.average.module
        return averaged

    def step(self, group: list[Batch], step: int) -> StepResult:
        """Update once from the accumulated batches, unless a loss or a gradient is not finite."""
        self._before = _Before(
            copy.deepcopy(self._numbers()), self._buffers(), state.random_states(self.world)
        )
        result = self._update(group, step)
        if self.average is not None and result.bad is None:
            self.average.update_parameters(self.student)
        self._before, self._changing = None, False
        return result

    def _update(self, group: list[Batch], step: int) -> StepResult:
        done, steps = self.loss_schedule.span(step)
        if step == self.loss_schedule.second:
            self.optimiser.state.clear()
        rate = schedule.learning_rate(self.recipe.optimiser, steps, done)
        for parameters in self.optimiser.param_groups:
            parameters["lr"] = rate
        weights = self.loss_schedule.weights(step)
        self.optimiser.zero_grad()
        sums: dict[str, float] = {}
        self._gradients = {}
        for number, batch in enumerate(group):
            measure = number == 0 and self.monitor.due(step)
            last = number == len(group) - 1
            values = self._backward(batch, len(group), weights, measure=measure, last=last)
            bad = [name for name, value in values.items() if not math.isfinite(value)]
            if bad:
                self.optimiser.zero_grad()
                return StepResult(bad=batch, reason=f"loss not finite ({', '.join(bad)})")
            for name, value in values.items():
                sums[name] = sums.get(name, 0.0) + value / len(group)
        norm = self._apply()
        if not math.isfinite(norm) and not self.scaler.is_enabled():
            return StepResult(bad=group[-1], reason="gradient not finite")
        weight = {"lambda": sums.pop("lambda")} if "lambda" in sums else {}
        return StepResult(
            {"loss": sums, **weight, "lr": rate, "grad_norm": norm if math.isfinite(norm) else None},
            gradients={name: x if math.isfinite(x) else None for name, x in self._gradients.items()},
            silent=self.monitor.silent(sums),
        )

    def _backward(
        self, batch: Batch, parts: int, weights: LossWeights, *, measure: bool, last: bool
    ) -> dict[str, float]:
        """Add the gradients of one of `parts` batches; return its loss terms, averaged over the processes."""
        distil = self.distiller is not None and weights.distillation > 0
        network = self._network(distil)
        with contextlib.ExitStack() as stack:
            if isinstance(network, DistributedDataParallel) and not last:
                stack.enter_context(network.no_sync())  # gradients are exchanged once an update
            with torch.autocast(self.world.device.type, dtype=self.half, enabled=self.half is not None):
                noisy, clean = batch.noisy, batch.clean
                taught = {"clean": clean, "teacher_estimate": batch.estimate}
                estimate, distances = network(noisy, **taught) if distil else (network(noisy), {})
                losses = self.loss(estimate, clean)
            values = self._values(losses, distances)
            if not all(map(math.isfinite, values.values())):
                return values
            total = losses["total"]
            values["total"] = values["enhancement"]
            if distances:
                distance = torch.stack([*distances.values()]).sum()
                if measure:
                    self._gradients = norms(total, distances, self.parameters)
                weight = self._weight(total, distance) * weights.distillation
                # A loss with weight 0 stays out of the graph: weight decay would apply to zero gradients.
                total = total + weight * distance if weights.enhancement else weight * distance
                values["total"] *= weights.enhancement
                values["total"] += weight * sum(values[f"distill.{name}"] for name in distances)
                values["lambda"] = weight
            torch.autograd.backward(self.scaler.scale(total / parts))
        return values

    def _network(self, distil: bool) -> nn.Module:
        """Return the distiller or the student, whose gradients several processes share."""
        module = self.distiller if distil and self.distiller is not None else self.student
        if self.world.size == 1:
            return module
        if self._parallel is None or self._parallel.module is not module:
            devices = [self.world.device] if self.world.device.type == "cuda" else None
            # The first of two steps does not use all of the student.
            unused = distil and self.loss_schedule.second > 0
            self._parallel = DistributedDataParallel(
                module, device_ids=devices, find_unused_parameters=unused
            )
        return self._parallel

    def _weight(self, enhancement: Tensor, distance: Tensor) -> float:
        """Return λ: of the recipe, or as balanced so far."""
        if self.balance is None:
            return self.fixed_weight
        measures = not self.balance.frozen
        weight = self.balance.weight(enhancement, distance, self.parameters)
        if measures:
            self._gradients = self._gradients or self.balance.measured
        return weight

    def _values(self, losses: dict[str, Tensor], distances: dict[str, Tensor]) -> dict[str, float]:
        """Return every term as a number, averaged over the processes: NaN in one is NaN in all."""
        named = {
            **{"enhancement" if name == "total" else name: term for name, term in losses.items()},
            **{f"distill.{name}": term for name, term in distances.items()},
        }
        values = self.world.mean(torch.stack([term.detach().float() for term in named.values()]))
        return dict(zip(named, values.tolist(), strict=True))

    def _apply(self) -> float:
        """Clip gradients and change the weights if all are finite; return the student's norm before clipping."""
        self.scaler.unscale_(self.optimiser)
        limit = self.recipe.optimiser.clip_norm
        # Clipped apart, so that large gradients of connectors do not reduce the student's step.
        norm = float(clip_grad_norm_(self.parameters, limit))
        others = float(clip_grad_norm_(self.connectors, limit)) if self.connectors else 0.0
        if self.scaler.is_enabled():  # infinities are normal in fp16: the scaler skips the step and adapts
            self._changing = True
            self.scaler.step(self.optimiser)
            self.scaler.update()
        elif math.isfinite(norm + others):
            self._changing = True
            self.optimiser.step()
        return norm + 0 * others

    # --- state --------------------------------------------------------------------------------------------

    def rewind(self) -> None:
        """After an error within `step`, restore the state before it. Raise StillwaveError if weights have changed."""
        if self._changing:
            raise StillwaveError("the error occurred while weights were changed")
        if self._before is None:
            return
        self._restore_numbers(*self._before.numbers)
        for name, buffer in self._named_buffers():
            buffer.copy_(self._before.buffers[name])
        state.set_random_states(self._before.random, self.world)
        self._before = None

    def tensors(self) -> dict[str, Tensor]:
        """Return the part of the state that is tensors; `write_numbers` has the rest."""
        method = {} if self.distiller is None else self.distiller.method.state_dict()
        tensors = {
            **state.with_prefix("student", self.student.state_dict()),
            **state.with_prefix("method", method),
            **state.with_prefix("optimiser", state.optimiser_tensors(self.optimiser)),
            **state.with_prefix("random", state.random_states(self.world)),
        }
        if self.average is not None:
            tensors |= state.with_prefix("average", self.average.state_dict())
        return tensors

    def write_numbers(self, progress: state.Progress) -> None:
        """Write the state of λ and of the loss scaling into `progress`."""
        progress.weight, progress.scaler = self._numbers()

    def load(self, tensors: dict[str, Tensor], progress: state.Progress) -> None:
        """Restore the state from `tensors()` and `write_numbers()`."""
        self.student.load_state_dict(state.without_prefix("student", tensors))
        if self.distiller is not None:
            self.distiller.method.load_state_dict(state.without_prefix("method", tensors))
        state.load_optimiser(self.optimiser, state.without_prefix("optimiser", tensors))
        self._restore_numbers(progress.weight, progress.scaler)
        if self.average is not None:
            self.average.load_state_dict(state.without_prefix("average", tensors))
        state.set_random_states(state.without_prefix("random", tensors), self.world)

    def _numbers(self) -> tuple[dict[str, Any], dict[str, Any]]:
        return {} if self.balance is None else self.balance.state_dict(), self.scaler.state_dict()

    def _restore_numbers(self, weight: dict[str, Any], scaler: dict[str, Any]) -> None:
        if self.balance is not None:
            self.balance.load_state_dict(weight)
        self.scaler.load_state_dict(scaler)

    def _buffers(self) -> dict[str, Tensor]:
        return {name: buffer.clone() for name, buffer in self._named_buffers()}

    def _named_buffers(self) -> Iterator[tuple[str, Tensor]]:
        yield from self.student.named_buffers("student")
        if self.distiller is not None:
            yield from self.distiller.method.named_buffers("method")


class _Before(NamedTuple):
    """What a pass changes besides weights: numbers of λ and loss scaling, buffers by name, random state."""

    numbers: tuple[dict[str, Any], dict[str, Any]]
    buffers: dict[str, Tensor]
    random: dict[str, Tensor]


def _optimiser(recipe: Recipe, parameters: list[nn.Parameter]) -> torch.optim.AdamW:
    """Make the optimiser; weight decay applies to matrices and kernels, not to gains, biases and slopes."""
    settings = recipe.optimiser
    groups = [
        {"params": [p for p in parameters if p.ndim >= 2], "weight_decay": settings.weight_decay},
        {"params": [p for p in parameters if p.ndim < 2], "weight_decay": 0.0},
    ]
    return torch.optim.AdamW(groups, lr=settings.lr, betas=settings.betas)


def _distillation_weight(config: DistillConfig | None) -> tuple[Balance | None, float]:
    """Return what balances λ, or None and a fixed λ. Raise DistillError."""
    if config is None:
        return None, 0.0
    if config.weight == "balanced":
        return Balance(config.rho, config.balance_steps), 0.0
    return None, published_weight(config) if config.weight == "published" else config.weight
