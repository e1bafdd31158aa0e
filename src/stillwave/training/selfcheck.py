"""Dry run of a distillation on one batch, before training."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch

from stillwave.data.dataset import Batch, Numbered, collate
from stillwave.data.sources import build_source
from stillwave.distill.distiller import Distiller
from stillwave.distill.method import DistillError
from stillwave.distill.schedule import LossSchedule
from stillwave.distill.selfcheck import Findings, examine
from stillwave.errors import RecipeError, StillwaveError
from stillwave.losses import EnhancementLoss
from stillwave.schema import SAMPLE_RATE, DistillConfig, Recipe
from stillwave.training.networks import build_networks, input_shape
from stillwave.training.sources import with_outputs
from stillwave.training.teachers import distils

EXAMPLES = 4
"""Examples in the batch, unless the method needs the batch size of the recipe."""


@dataclass(frozen=True)
class Check:
    """The distiller, the batch and the findings of a dry run."""

    distiller: Distiller
    findings: Findings
    batch: str
    schedule: str

    def as_json(self) -> dict[str, Any]:
        """Return everything as JSON values; numbers that are not finite as text."""
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
    """Build what a run would build and examine one batch. Raise StillwaveError for what a run would refuse."""
    if recipe.distill is None or not distils(recipe):
        raise RecipeError(f"{recipe.name}: has no teacher (no distill section, or method none)")
    config = recipe.distill
    if config.cache is not None and not Path(config.cache).exists():
        recipe = _without_cache(recipe, config)  # a dry run creates no folder
    distiller, examples = _build(recipe)
    distiller.cache = None  # and adds no batch to an existing one
    batch, origin = dry_batch(recipe, examples)
    findings = examine(
        distiller, EnhancementLoss(recipe.loss), config, batch.noisy, batch.clean, batch.estimate
    )
    size = f"{examples} × {recipe.data.segment_seconds:g} s"
    if examples != recipe.train.batch_size:
        size += f" (training: {recipe.train.batch_size})"
    return Check(distiller, findings, f"{size} of {origin}", _schedule(recipe))


def dry_batch(recipe: Recipe, examples: int) -> tuple[Batch, str]:
    """Return a batch and its origin: the first training examples, or synthetic ones if those cannot be read."""
    try:
        source = with_outputs(
            build_source(recipe.data, recipe.model.microphones, recipe.seed, prepare=False), recipe
        )
        batch = collate([Numbered(number, source(0, number)) for number in range(examples)])
        return batch, "the recipe's mixtures"
    except StillwaveError as error:
        signals = [_synthetic(recipe, number) for number in range(examples)]
        noisy, clean = (torch.from_numpy(np.stack(side)) for side in zip(*signals, strict=True))
        if recipe.model.microphones > 1:
            noisy = noisy[:, None].repeat(1, recipe.model.microphones, 1)
        batch = Batch(noisy, clean, torch.arange(examples))
        return batch, f"synthetic speech and noise, because the recipe's data cannot be read ({error})"


def _build(recipe: Recipe) -> tuple[Distiller, int]:
    shape = input_shape(recipe)
    few = min(EXAMPLES, recipe.train.batch_size)
    try:
        distiller, size = build_networks(recipe, torch.zeros(few, *shape)).distiller, few
    except DistillError:
        if few == recipe.train.batch_size:
            raise
        size = recipe.train.batch_size
        distiller = build_networks(recipe, torch.zeros(size, *shape)).distiller
    assert distiller is not None
    return distiller, size


def _synthetic(recipe: Recipe, number: int) -> tuple[Any, Any]:
    """Return (noisy, clean): harmonics of a gliding voice in syllables, in noise of about 5 dB SNR."""
    random = np.random.default_rng([recipe.seed, number, 77])
    time = np.arange(round(recipe.data.segment_seconds * SAMPLE_RATE)) / SAMPLE_RATE
    pitch = random.uniform(90, 220) * (1 + 0.1 * np.sin(2 * np.pi * random.uniform(0.5, 2) * time))
    phase = 2 * np.pi * np.cumsum(pitch) / SAMPLE_RATE
    voice = np.sum([np.sin(k * phase + random.uniform(0, 6)) / k for k in range(1, 20)], axis=0)
    syllables = np.clip(np.sin(2 * np.pi * random.uniform(3, 5) * time + random.uniform(0, 6)), 0, None)
    clean = 0.1 * voice * syllables
    noise = random.standard_normal(len(time)) * np.sqrt(np.mean(clean**2)) * 10 ** (-5 / 20)
    return (clean + noise).astype(np.float32), clean.astype(np.float32)


def _without_cache(recipe: Recipe, config: DistillConfig) -> Recipe:
    return recipe.model_copy(update={"distill": config.model_copy(update={"cache": None})})


def _schedule(recipe: Recipe) -> str:
    schedule = LossSchedule(recipe.distill, recipe.train.steps, recipe.optimiser.restarts)
    steps = f"{recipe.train.steps} updates"
    if schedule.second:
        return f"{steps}: {schedule.second} of distillation alone, then {recipe.train.steps - schedule.second} without"
    rises = f", λ rising over the first {schedule.rises:.0f}" if schedule.rises > 1 else ""
    return f"{steps} with both losses{rises}"


def _finite(value: Any) -> Any:
    if isinstance(value, dict):
        return {name: _finite(part) for name, part in value.items()}
    if isinstance(value, list | tuple):
        return [_finite(part) for part in value]
    return str(value) if isinstance(value, float) and not np.isfinite(value) else value
