"""All that learns in a run: student, connectors, averaged weights, optimiser, λ. Knows nothing of files."""

from __future__ import annotations

import copy
from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn
from torch.nn.parallel import DistributedDataParallel

from stillwave.data.dataset import Batch
from stillwave.errors import StillwaveError
from stillwave.schema import Recipe
from stillwave.training import schedule, state
from stillwave.training.distributed import World, share
from stillwave.training.objective import input_shape, make_objective
from stillwave.training.optimizer_step import OptimizerStep, StepResult


class TrainState:
    """A student on its way. After `load(tensors(), progress)` it goes on as if nothing had happened."""

    def __init__(self, recipe: Recipe, world: World, *, fresh: bool = True) -> None:
        self.world = world
        self._before: _Before | None = None
        torch.manual_seed(recipe.seed)
        example = torch.zeros(share(recipe.train.batch_size, world), *input_shape(recipe))
        self.objective = make_objective(recipe, example, fresh=fresh).to(world.device)
        self.updater = OptimizerStep(recipe, self.objective, world)
        decay = recipe.train.ema
        self.average = schedule.averaged(self.objective.student, decay) if decay else None
        self.shared: nn.Module = self.objective
        if world.size > 1:
            devices = [world.device] if world.device.type == "cuda" else None
            # Of two steps the first leaves parts of the student alone, the second the connectors.
            apart = self.updater.plan.second > 0
            self.shared = DistributedDataParallel(
                self.objective, device_ids=devices, find_unused_parameters=apart
            )

    @property
    def exported(self) -> nn.Module:
        """The network that is validated and saved: the averaged one, if there is an average."""
        if self.average is None:
            return self.objective.student
        averaged: nn.Module = self.average.module
        return averaged

    def step(self, group: list[Batch], step: int) -> StepResult:
        """One update, from the batches that it accumulates."""
        self._before = self._mark()
        outcome = self.updater.step(self.shared, group, step)
        if self.average is not None and outcome.bad is None:
            self.average.update_parameters(self.objective.student)
        self._before, self.updater.moving = None, False
        return outcome

    def rewind(self) -> None:
        """After an error within `step`, be as before it, so that the update can be made again.

        Raises StillwaveError where weights have changed already.
        """
        if self.updater.moving:
            raise StillwaveError("the error came while weights were changed")
        if self._before is None:
            return
        self.updater.restore(*self._before.numbers)
        for name, buffer in self._buffers():
            buffer.copy_(self._before.buffers[name])
        _set_random(self._before.random, self.world)
        self._before = None

    def _mark(self) -> _Before:
        """What a pass changes besides weights: little, and copied at every update."""
        buffers = {name: buffer.clone() for name, buffer in self._buffers()}
        return _Before(copy.deepcopy(self.updater.state()), buffers, _random(self.world))

    def _buffers(self) -> Iterator[tuple[str, Tensor]]:
        yield from self.objective.student.named_buffers("student")
        if self.objective.distiller is not None:
            yield from self.objective.distiller.method.named_buffers("method")

    def tensors(self) -> dict[str, Tensor]:
        """The state that is tensors; `note` has the rest."""
        tensors = {
            **state.with_prefix("student", self.objective.student.state_dict()),
            **state.with_prefix("method", self.objective.method_state()),
            **state.with_prefix("optimiser", state.optimiser_tensors(self.updater.optimiser)),
            **state.with_prefix("random", _random(self.world)),
        }
        if self.average is not None:
            tensors |= state.with_prefix("average", self.average.state_dict())
        return tensors

    def note(self, progress: state.Progress) -> None:
        """Write the state that is numbers into `progress`."""
        progress.weight, progress.scaler = self.updater.state()

    def load(self, tensors: dict[str, Tensor], progress: state.Progress) -> None:
        """Put back what `tensors` and `note` gave."""
        self.objective.student.load_state_dict(state.without_prefix("student", tensors))
        self.objective.load_method_state(state.without_prefix("method", tensors))
        state.load_optimiser(self.updater.optimiser, state.without_prefix("optimiser", tensors))
        self.updater.restore(progress.weight, progress.scaler)
        if self.average is not None:
            self.average.load_state_dict(state.without_prefix("average", tensors))
        _set_random(state.without_prefix("random", tensors), self.world)


class _Before(NamedTuple):
    """A state to go back to: λ's and the loss scaling's, buffers by name, random state."""

    numbers: tuple[dict[str, Any], dict[str, Any]]
    buffers: dict[str, Tensor]
    random: dict[str, Tensor]


def _random(world: World) -> dict[str, Tensor]:
    """The state of the random generators that a pass may use."""
    state = {"cpu": torch.get_rng_state()}
    if world.device.type == "cuda":
        state["cuda"] = torch.cuda.get_rng_state(world.device)
    return state


def _set_random(state: Mapping[str, Tensor], world: World) -> None:
    torch.set_rng_state(state["cpu"])
    if "cuda" in state and world.device.type == "cuda":
        torch.cuda.set_rng_state(state["cuda"], world.device)
