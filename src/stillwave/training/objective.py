"""What one backward pass makes smaller: the enhancement loss and, with a teacher, the losses of a method."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import torch
from torch import Tensor, nn

from stillwave import checkpoint
from stillwave.errors import CheckpointError
from stillwave.losses import EnhancementLoss
from stillwave.models import Denoiser, build
from stillwave.schema import SAMPLE_RATE, DistillConfig, Recipe

if TYPE_CHECKING:
    from stillwave.distill import Distiller


class Terms(NamedTuple):
    """Named scalars; `enhancement` has a "total", `distillation` is empty without a teacher."""

    enhancement: dict[str, Tensor]
    distillation: dict[str, Tensor]


class Objective(nn.Module):
    """Student, losses and (if any) teacher and connectors as one module, which is what processes share."""

    def __init__(self, student: Denoiser, loss: EnhancementLoss, distiller: Distiller | None = None) -> None:
        super().__init__()
        self.student = student
        self.loss = loss
        self.distiller = distiller

    def forward(self, noisy: Tensor, clean: Tensor, *, distil: bool = True) -> Terms:
        """Of a batch: noisy [B, N] or [B, M, N], clean [B, N]. `distil=False` leaves the teacher out."""
        if self.distiller is None or not distil:
            return Terms(self.loss(self.student(noisy), clean), {})
        estimate, losses = self.distiller(noisy, clean=clean)
        return Terms(self.loss(estimate, clean), losses)

    def student_parameters(self) -> list[nn.Parameter]:
        """What is exported."""
        return [p for p in self.student.parameters() if p.requires_grad]

    def connectors(self) -> list[nn.Parameter]:
        """What a method trains beside the student; not exported."""
        return [] if self.distiller is None else list(self.distiller.connectors())

    def summary(self) -> str:
        """How far the teacher's cache spared its teacher, in a sentence."""
        return self.distiller.cache.summary() if self.distiller is not None and self.distiller.cache else ""

    def method_state(self) -> dict[str, Tensor]:
        """All that the method keeps, for resuming."""
        return {} if self.distiller is None else dict(self.distiller.method.state_dict())

    def load_method_state(self, tensors: dict[str, Tensor]) -> None:
        """Put `method_state` back."""
        if self.distiller is not None:
            self.distiller.method.load_state_dict(tensors)


def make_objective(recipe: Recipe, example: Tensor, *, fresh: bool = True) -> Objective:
    """Fresh weights that depend on the seed alone: a student starts the same with and without a teacher.

    With `train.start_from` they are that checkpoint's; a run that is not `fresh` needs none, as it gets its own
    afterwards. `example` is a noisy batch of the shape that each backward pass will have.
    """
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(recipe.seed)
        student = build(recipe.model)
    if fresh and recipe.train.start_from is not None:
        student.load_state_dict(_first_weights(recipe, recipe.train.start_from))
    distiller = None
    if distils(recipe):
        assert recipe.distill is not None
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(recipe.seed + 1)
            distiller = _make_distiller(recipe, recipe.distill, student, example)
    return Objective(student, EnhancementLoss(recipe.loss), distiller)


def _first_weights(recipe: Recipe, place: str) -> dict[str, Tensor]:
    try:
        found, card = checkpoint.load(place)
    except CheckpointError as error:
        raise CheckpointError(f"train.start_from: {error}") from None
    theirs, ours = card.model.model_dump(), recipe.model.model_dump()
    other = [key for key, value in ours.items() if theirs[key] != value]
    if other:
        raise CheckpointError(
            f"train.start_from: {place} has model.{other[0]} {theirs[other[0]]} and the recipe {ours[other[0]]}; "
            "give a checkpoint of the recipe's network"
        )
    return found.state_dict()


def input_shape(recipe: Recipe) -> tuple[int, ...]:
    """The shape of one training example's noisy signal: [N], or [microphones, N]."""
    samples = round(recipe.data.segment_seconds * SAMPLE_RATE)
    return (samples,) if recipe.model.microphones == 1 else (recipe.model.microphones, samples)


def distils(recipe: Recipe) -> bool:
    """Whether there is a teacher: a `distill` section with another method than `none`."""
    return recipe.distill is not None and recipe.distill.method.name != "none"


def teacher_sha256(recipe: Recipe) -> str | None:
    """Which teacher it is, whatever its path. Raises CheckpointError."""
    if recipe.distill is None or not distils(recipe):
        return None
    return checkpoint.read_card(checkpoint.resolve(Path(recipe.distill.teacher))).sha256


def _make_distiller(recipe: Recipe, config: DistillConfig, student: Denoiser, example: Tensor) -> Distiller:
    from stillwave.distill import Distiller
    from stillwave.distill.cache import open_cache

    teacher, card = checkpoint.load(config.teacher)
    _check_hears_alike(recipe, config.teacher, card)
    distiller = Distiller(
        teacher, student, config.method, taps=config.taps, example=example, loss=recipe.loss
    )
    distiller.cache = open_cache(config.cache, card.sha256, config.cache_gb, config.cache_precision)
    return distiller


def _check_hears_alike(recipe: Recipe, place: str, card: checkpoint.Card) -> None:
    """Refuse a teacher whose input is not the student's."""
    if card.sample_rate != SAMPLE_RATE:
        raise CheckpointError(
            f"distill.teacher: {place} hears {card.sample_rate} Hz and the student {SAMPLE_RATE} Hz; "
            f"give a teacher of {SAMPLE_RATE} Hz"
        )
    ours, theirs = recipe.model.microphones, card.model.microphones
    if ours != theirs:
        raise CheckpointError(
            f"distill.teacher: {place} hears {theirs} microphone(s) and the student {ours}; "
            "give a teacher of as many, or change model.microphones"
        )


def parameter_groups(parameters: list[nn.Parameter], decay: float) -> list[dict[str, object]]:
    """Groups for AdamW: matrices and kernels decay; gains, biases and slopes do not."""
    return [
        {"params": [p for p in parameters if p.ndim >= 2], "weight_decay": decay},
        {"params": [p for p in parameters if p.ndim < 2], "weight_decay": 0.0},
    ]
