"""A recipe's distillation looked at on one batch, before anything is trained."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from stillwave.data.dataset import Numbered, collate
from stillwave.data.sources import build_source
from stillwave.distill.distiller import Distiller
from stillwave.distill.method import DistillError
from stillwave.distill.schedule import LossSchedule
from stillwave.distill.selfcheck import Findings, examine
from stillwave.errors import RecipeError, StillwaveError
from stillwave.schema import SAMPLE_RATE, Recipe
from stillwave.training.objective import Objective, distils, input_shape, make_objective

EXAMPLES = 4
"""Of the batch, at most, unless the method can do with no other number than the recipe's."""


@dataclass(frozen=True)
class Check:
    """What was looked at, and what was found."""

    distiller: Distiller
    findings: Findings
    batch: str
    schedule: str

    def as_json(self) -> dict[str, Any]:
        """Everything, as JSON values; figures that are not finite as text."""
        shapes = self.distiller.shapes
        taps = {
            name: {
                side: [asdict(layer) for layer in getattr(shapes, side)[name]]
                for side in ("student", "teacher")
            }
            for name in self.distiller.sets
        }
        plain = {"batch": self.batch, "schedule": self.schedule, "taps": taps, **asdict(self.findings)}
        found: dict[str, Any] = _finite(plain)
        return found


def check(recipe: Recipe) -> Check:
    """Build everything that a run would, and look at it. Raises StillwaveError for what a run would refuse."""
    if recipe.distill is None or not distils(recipe):
        raise RecipeError(
            f"{recipe.name}: has no teacher (no distill section, or method none), so there is nothing to check"
        )
    if recipe.distill.cache is not None and not Path(recipe.distill.cache).exists():
        recipe = _without_cache(recipe)  # a check leaves no folder behind
    objective, examples = _build(recipe)
    distiller = objective.distiller
    assert distiller is not None
    assert recipe.distill is not None
    distiller.cache = None  # nor a batch that no run will ask for
    noisy, clean, origin = dry_batch(recipe, examples)
    findings = examine(distiller, objective.loss, recipe.distill, noisy, clean)
    size = f"{examples} × {recipe.data.segment_seconds:g} s"
    if examples != recipe.train.batch_size:
        size += f" (training: {recipe.train.batch_size})"
    return Check(distiller, findings, f"{size} of {origin}", _schedule(recipe))


def dry_batch(recipe: Recipe, examples: int) -> tuple[Tensor, Tensor, str]:
    """The first examples of the training if the recipe's data can be read, else made-up ones; and which."""
    try:
        source = build_source(recipe.data, recipe.model.microphones, recipe.seed, prepare=False)
        batch = collate([Numbered(number, source(0, number)) for number in range(examples)])
        return batch.noisy, batch.clean, "the recipe's own mixtures"
    except StillwaveError as error:
        made = [_invented(recipe, number) for number in range(examples)]
        noisy, clean = (torch.from_numpy(np.stack(side)) for side in zip(*made, strict=True))
        if recipe.model.microphones > 1:
            noisy = noisy[:, None].repeat(1, recipe.model.microphones, 1)
        return noisy, clean, f"made-up speech and noise, for want of the recipe's ({error})"


def _build(recipe: Recipe) -> tuple[Objective, int]:
    shape = input_shape(recipe)
    few = min(EXAMPLES, recipe.train.batch_size)
    try:
        return make_objective(recipe, torch.zeros(few, *shape)), few
    except DistillError:
        if few == recipe.train.batch_size:
            raise
    return make_objective(recipe, torch.zeros(recipe.train.batch_size, *shape)), recipe.train.batch_size


def _invented(recipe: Recipe, number: int) -> tuple[Any, Any]:
    """Harmonics of a gliding voice in syllables, and the same in noise of about 5 dB SNR."""
    random = np.random.default_rng([recipe.seed, number, 77])
    time = np.arange(round(recipe.data.segment_seconds * SAMPLE_RATE)) / SAMPLE_RATE
    pitch = random.uniform(90, 220) * (1 + 0.1 * np.sin(2 * np.pi * random.uniform(0.5, 2) * time))
    phase = 2 * np.pi * np.cumsum(pitch) / SAMPLE_RATE
    voice = np.sum([np.sin(k * phase + random.uniform(0, 6)) / k for k in range(1, 20)], axis=0)
    syllables = np.clip(np.sin(2 * np.pi * random.uniform(3, 5) * time + random.uniform(0, 6)), 0, None)
    clean = 0.1 * voice * syllables
    noise = random.standard_normal(len(time)) * np.sqrt(np.mean(clean**2)) * 10 ** (-5 / 20)
    return (clean + noise).astype(np.float32), clean.astype(np.float32)


def _without_cache(recipe: Recipe) -> Recipe:
    assert recipe.distill is not None
    return recipe.model_copy(update={"distill": recipe.distill.model_copy(update={"cache": None})})


def _schedule(recipe: Recipe) -> str:
    plan = LossSchedule(recipe.distill, recipe.train.steps, recipe.optimiser.restarts)
    steps = f"{recipe.train.steps} updates"
    if plan.second:
        return (
            f"{steps}: {plan.second} of distillation alone, then {recipe.train.steps - plan.second} without"
        )
    rises = f", λ rising over the first {plan.rises:.0f}" if plan.rises > 1 else ""
    return f"{steps} with both losses{rises}"


def _finite(value: Any) -> Any:
    if isinstance(value, dict):
        return {name: _finite(part) for name, part in value.items()}
    if isinstance(value, list | tuple):
        return [_finite(part) for part in value]
    return str(value) if isinstance(value, float) and not np.isfinite(value) else value
