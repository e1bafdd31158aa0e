"""Small data: a run takes a second, and each example is a pure function of its number.

As a program, `toy.py RUN [KEY=VALUE ...]`, it trains the toy recipe; under torchrun, as several processes.
"""

import sys
from dataclasses import dataclass

import numpy as np

from stillwave import recipe

TEXT = """
name: toy
seed: 3
model: {channels: 8, blocks: 1, depth: 1}
data:
  train: {speech: none, noise: none}
  development: none
  segment_seconds: 0.1
  workers: 0
optimiser: {warmup_steps: 2, lr: 2e-3}
train: {steps: 6,
        batch_size: 2, checkpoint_every: 2, validate_every: 2, ema: 0.9, device: cpu, tensorboard: false}
"""


def toy_recipe(*overrides):
    return recipe.loads(TEXT, overrides)


@dataclass(frozen=True)
class Example:
    noisy: np.ndarray
    clean: np.ndarray


@dataclass(frozen=True)
class Toy:
    """Tones in noise; the examples whose number is in `bad` hold a NaN."""

    samples: int = 1600
    bad: tuple[int, ...] = ()

    def __call__(self, epoch, index):
        random = np.random.default_rng([7, epoch, index])
        time = np.arange(self.samples) / 16_000
        clean = (0.2 * np.sin(2 * np.pi * random.uniform(200, 2000) * time)).astype(np.float32)
        noisy = clean + 0.1 * random.standard_normal(clean.shape).astype(np.float32)
        if index in self.bad:
            noisy[5] = np.nan
        return Example(noisy, clean)


def development(items=3):
    return [Toy(samples=2000)(1, index) for index in range(items)]


def train_toy(run, *overrides, source=None, items=None, **options):
    from stillwave.training import TrainingData, train

    data = TrainingData(source or Toy(), development() if items is None else items)
    return train(toy_recipe(*overrides), run, data, quiet=True, **options)


def make_teacher(folder, seed=11, channels=16, blocks=2):
    """An untrained teacher: enough to be distilled from."""
    import torch

    from stillwave import checkpoint
    from stillwave.models import build
    from stillwave.schema import ModelConfig

    config = ModelConfig(channels=channels, blocks=blocks, depth=1)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        checkpoint.save(folder, build(config), checkpoint.Card(model=config))
    return str(folder)


if __name__ == "__main__":
    train_toy(sys.argv[1], *sys.argv[2:])
