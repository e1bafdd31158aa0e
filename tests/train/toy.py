"""Small stand-ins for the data: a run takes a second, and each example is a pure function of its index."""

from dataclasses import dataclass

import numpy as np

from stillwave import recipe

TEXT = """
name: toy
seed: 3
model: {channels: 8, blocks: 1}
data:
  train: {speech: none, noise: none}
  development: none
  segment_seconds: 0.1
  workers: 0
optimiser: {warmup_steps: 2, lr: 2e-3}
train: {steps: 6, batch_size: 2, checkpoint_every: 2, validate_every: 2, ema: 0.9, device: cpu, tensorboard: false}
"""


def toy_recipe(*overrides, teacher=None):
    return recipe.loads(TEXT, overrides, teacher=teacher)


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


def si_sdr(clean, estimate):
    clean, estimate = clean - clean.mean(), estimate - estimate.mean()
    target = (estimate @ clean) / (clean @ clean) * clean
    return float(10 * np.log10((target @ target) / ((estimate - target) @ (estimate - target))))
