"""Build the networks of a run: the student and, for distillation, the teacher with its method."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import torch
from torch import Tensor

from stillwave import checkpoint
from stillwave.errors import CheckpointError
from stillwave.models import Denoiser, FullBand, build
from stillwave.schema import DistillConfig, Recipe
from stillwave.training.teachers import distils, load_teacher

if TYPE_CHECKING:
    from stillwave.distill import Distiller


class Networks(NamedTuple):
    """The student, and what distils it, if anything does."""

    student: Denoiser
    distiller: Distiller | None


def build_networks(recipe: Recipe, example: Tensor, *, fresh: bool = True) -> Networks:
    """Build student and distiller; a student has the same initial weights with and without a teacher.

    `recipe`: initial weights depend on its seed alone, or are those of `train.start_from`. `example`: noisy batch of
    the shape of every training batch: [B, N] or [B, M, N]. `fresh`: whether to load `train.start_from`; a resumed run
    does not need it. Raises CheckpointError if teacher or initial weights cannot be used, DistillError if
    student, teacher and method do not fit together.
    """
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(recipe.seed)
        student = build(recipe.model)
    if fresh and recipe.train.start_from is not None:
        student.load_state_dict(_initial_weights(recipe, recipe.train.start_from, student))
    if recipe.distill is None or not distils(recipe):
        return Networks(student, None)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(recipe.seed + 1)
        return Networks(student, _build_distiller(recipe, recipe.distill, student, example))


def _initial_weights(recipe: Recipe, place: str, student: Denoiser) -> dict[str, Tensor]:
    try:
        found, card = checkpoint.load(place)
    except CheckpointError as error:
        raise CheckpointError(f"train.start_from: {error}") from None
    narrow = isinstance(student, FullBand) and card.model.name == "bsrnn"
    found_config, wanted_config = card.model.model_dump(), recipe.model.model_dump()
    ignored = ("name", "upper_bands", "upper_channels") if narrow else ()
    other = [key for key in wanted_config if found_config[key] != wanted_config[key] and key not in ignored]
    if other:
        raise CheckpointError(
            f"train.start_from: {place} has model.{other[0]} {found_config[other[0]]} and the recipe "
            f"{wanted_config[other[0]]}; "
            "give a checkpoint of the recipe's network"
        )
    if narrow:
        return {**student.state_dict(), **{f"narrow.{name}": x for name, x in found.state_dict().items()}}
    return found.state_dict()


def input_shape(recipe: Recipe) -> tuple[int, ...]:
    """Return the shape of the noisy signal of a training example: [N], or [M, N] for M > 1 microphones."""
    samples = round(recipe.data.segment_seconds * recipe.model.sample_rate)
    return (samples,) if recipe.model.microphones == 1 else (recipe.model.microphones, samples)


def _build_distiller(recipe: Recipe, config: DistillConfig, student: Denoiser, example: Tensor) -> Distiller:
    from stillwave.distill import Distiller
    from stillwave.distill.cache import open_cache

    teacher = load_teacher(recipe, config)
    distiller = Distiller(
        teacher.network, student, config.method, taps=config.taps, example=example, loss=recipe.loss
    )
    if teacher.cached:
        distiller.cache = open_cache(config.cache, teacher.sha256, config.cache_gb, config.cache_precision)
    return distiller
