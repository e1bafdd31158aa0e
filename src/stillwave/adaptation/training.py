"""Train a student on recordings and remixes, with the estimates of the teacher as targets."""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

import numpy as np

from stillwave.adaptation.recordings import PIECE
from stillwave.adaptation.remixes import Remixes
from stillwave.card import Card
from stillwave.data.dataset import Signals, Source
from stillwave.data.sources import build_source
from stillwave.recipe import load
from stillwave.schema import (
    SAMPLE_RATE,
    DataConfig,
    LossConfig,
    OptimiserConfig,
    Recipe,
    Sources,
    TrainConfig,
)
from stillwave.training import TrainingData, train

VALIDATED = 8
"""Remixes that each round is scored on; they select nothing."""
_VALIDATION = 1
"""Epoch of these; training is epoch 0."""


class Budget(NamedTuple):
    """Length and step size of the training of a round."""

    steps: int
    learning_rate: float
    batch_size: int = 4


class Blend:
    """Examples of two sources, as a pure function of (seed, epoch, index): a `share` of them is of the second."""

    def __init__(self, first: Source, second: Source, share: float, seed: int) -> None:
        self.first, self.second, self.share, self.seed = first, second, share, seed

    def __call__(self, epoch: int, index: int) -> Signals:
        """Return example `index` of an epoch. Raises AudioError as the sources do."""
        drawn = np.random.default_rng([self.seed, epoch, index, 3]).random()
        return (self.second if drawn < self.share else self.first)(epoch, index)


def ordinary(recipe: str, seed: int) -> Source:
    """Return the training examples of a recipe, as long as a piece. Raises StillwaveError."""
    data = load(recipe).data.model_copy(update={"segment_seconds": PIECE / SAMPLE_RATE})
    return build_source(data, seed=seed)


def round_recipe(card: Card, start_from: Path, place: Path, seed: int, budget: Budget) -> Recipe:
    """Return the recipe of a round for the network of `card`, with the weights of the checkpoint `start_from`."""
    named = str(place)
    return Recipe(
        name="adapt",
        seed=seed,
        model=card.model,
        data=DataConfig(
            train=Sources(speech=named, noise=named),
            development=named,
            segment_seconds=PIECE / SAMPLE_RATE,
            workers=0,
        ),
        loss=LossConfig(compressed=1.0, si_sdr=0.01, perceptual=0.03),
        optimiser=OptimiserConfig(lr=budget.learning_rate, warmup_steps=budget.steps // 10, final=0.05),
        train=TrainConfig(
            steps=budget.steps,
            batch_size=budget.batch_size,
            ema=0.99,
            checkpoint_every=50,
            validate_every=budget.steps,
            tensorboard=False,
            start_from=str(start_from),
        ),
    )


def train_round(
    recipe: Recipe, folder: Path, remixes: Remixes, others: Source | None, share: float, quiet: bool
) -> Path:
    """Train, or resume, a round; return its checkpoint.

    Raises:
        StillwaveError: As `stillwave.training.train`.
        Stopped: After Ctrl-C, SIGTERM or SIGHUP; the same call resumes.

    """
    source: Source = remixes if others is None else Blend(remixes, others, share, recipe.seed)
    validation = [remixes(_VALIDATION, index) for index in range(VALIDATED)]
    return train(recipe, folder, TrainingData(source, validation), quiet=quiet)
