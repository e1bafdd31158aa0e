"""All that learns in a run: student, connectors, averaged weights, optimiser, λ. Knows nothing of files."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn.parallel import DistributedDataParallel

from stillwave.data.dataset import Batch
from stillwave.schema import Recipe
from stillwave.train import schedule, state
from stillwave.train.distributed import World, share
from stillwave.train.objective import input_shape, make_objective
from stillwave.train.update import Outcome, Updater


class Learner:
    """A student on its way. After `load(tensors(), progress)` it goes on as if nothing had happened."""

    def __init__(self, recipe: Recipe, world: World) -> None:
        self.world = world
        torch.manual_seed(recipe.seed)
        example = torch.zeros(share(recipe.train.batch_size, world), *input_shape(recipe))
        self.objective = make_objective(recipe, example).to(world.device)
        self.updater = Updater(recipe, self.objective, world)
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

    def step(self, group: list[Batch], step: int) -> Outcome:
        """One update, from the batches that it accumulates."""
        outcome = self.updater.step(self.shared, group, step)
        if self.average is not None and outcome.bad is None:
            self.average.update_parameters(self.objective.student)
        return outcome

    def tensors(self) -> dict[str, Tensor]:
        """The state that is tensors; `note` has the rest."""
        tensors = {
            **state.with_prefix("student", self.objective.student.state_dict()),
            **state.with_prefix("method", self.objective.method_state()),
            **state.with_prefix("optimiser", state.optimiser_tensors(self.updater.optimiser)),
            "random.cpu": torch.get_rng_state(),
        }
        if self.average is not None:
            tensors |= state.with_prefix("average", self.average.state_dict())
        if self.world.device.type == "cuda":
            tensors["random.cuda"] = torch.cuda.get_rng_state(self.world.device)
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
        torch.set_rng_state(tensors["random.cpu"])
        if "random.cuda" in tensors and self.world.device.type == "cuda":
            torch.cuda.set_rng_state(tensors["random.cuda"], self.world.device)
