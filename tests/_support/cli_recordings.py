"""Recordings and a recipe that the command line trains with in seconds."""

from pathlib import Path

import numpy as np
import pytest
import soundfile
import torch

RECIPE = """
name: tiny
model: {channels: 8, blocks: 1}
data:
  train: {speech: FOLDER/speech, noise: FOLDER/noise}
  development: {speech: FOLDER/speech, noise: FOLDER/noise}
  development_items: 2
  segment_seconds: 0.25
  cache: FOLDER/cache
  workers: 0
  mixing: {babble: 0}
optimiser: {warmup_steps: 1}
train: {steps: 3, batch_size: 2, checkpoint_every: 1, validate_every: 2, device: cpu, tensorboard: false}
"""


@pytest.fixture(autouse=True, scope="module")
def one_thread():
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


def write_recordings(folder: Path) -> None:
    random = np.random.default_rng(0)
    time_axis = np.arange(16_000) / 16_000
    for speaker in range(4):
        place = folder / "speech" / f"speaker{speaker}"
        place.mkdir(parents=True)
        for number in range(2):
            tone = 0.2 * np.sin(2 * np.pi * (200 + 100 * speaker + 10 * number) * time_axis)
            soundfile.write(place / f"{number}.wav", tone, 16_000)
    (folder / "noise").mkdir()
    for number in range(4):
        soundfile.write(folder / "noise" / f"{number}.flac", 0.1 * random.standard_normal(16_000), 16_000)
