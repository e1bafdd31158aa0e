"""Short recordings, four test mixtures and an untrained teacher."""

from functools import partial

import numpy as np
import pytest
import soundfile
import torch
from small_grid import RATE, RECIPE, described, tone, write_test

from stillwave import checkpoint
from stillwave.models import build
from stillwave.schema import ModelConfig


@pytest.fixture(autouse=True, scope="session")
def one_thread():
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture(scope="session")
def world(tmp_path_factory):
    folder = tmp_path_factory.mktemp("world")
    rng = np.random.default_rng(0)
    time = np.arange(RATE) / RATE
    for speaker in range(4):
        (folder / f"speech/s{speaker}").mkdir(parents=True)
        soundfile.write(folder / f"speech/s{speaker}/0.wav", tone(200 + 100 * speaker, time), RATE)
    (folder / "noise").mkdir()
    for number in range(2):
        soundfile.write(folder / f"noise/{number}.wav", 0.1 * rng.uniform(-1, 1, RATE), RATE)
    write_test(folder / "test", rng)
    for name, seed in (("teacher", 0), ("other-teacher", 1)):
        config = ModelConfig(channels=16, blocks=2, depth=1)
        torch.manual_seed(seed)
        checkpoint.save(folder / name, build(config), checkpoint.Card(model=config))
    (folder / "recipe.yaml").write_text(RECIPE.replace("FOLDER", str(folder)))
    return folder


@pytest.fixture
def describe(world):
    return partial(described, world)
