"""Very short runs for `stillwave explain`, and figures of one pixel where only the report matters."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from cli_recordings import write_recordings
from PIL import Image

from stillwave import checkpoint
from stillwave import recipe as recipes
from stillwave.explain import figures
from stillwave.explain.flow import explain
from stillwave.models import build
from stillwave.schema import ModelConfig
from stillwave.training import train

RECIPE = """
name: tiny
model: {channels: 8, blocks: 1, depth: 1}
data:
  train: {speech: FOLDER/speech, noise: FOLDER/noise}
  development: {speech: FOLDER/speech, noise: FOLDER/noise}
  development_items: 2
  segment_seconds: 0.125
  cache: FOLDER/cache
  workers: 0
  mixing: {babble: 0}
optimiser: {warmup_steps: 1}
train: {steps: 3, batch_size: 3, checkpoint_every: 1, validate_every: 2, device: cpu, threads: 1, tensorboard: false}
distill: {teacher: FOLDER/teacher, balance_steps: 1}
"""


@pytest.fixture(scope="session")
def place(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("tiny")
    write_recordings(folder)
    config = ModelConfig(channels=8, blocks=2, depth=1)
    torch.manual_seed(0)
    checkpoint.save(folder / "teacher", build(config), checkpoint.Card(model=config))
    return folder


def made(place: Path, run: Path, *settings: str) -> Path:
    train(recipes.loads(RECIPE.replace("FOLDER", str(place)), settings), run, quiet=True)
    return run


@pytest.fixture(scope="session")
def flagship(place, tmp_path_factory) -> Path:
    return made(place, tmp_path_factory.mktemp("runs") / "flagship")


DRAWING = ("weights", "similarities", "distances", "course", "change")


def point(file, **given):
    """Write a figure of one pixel."""
    file.parent.mkdir(exist_ok=True)
    Image.new("L", (1, 1)).save(file)


@pytest.fixture
def quick(monkeypatch):
    for name in DRAWING:
        monkeypatch.setattr(figures, f"draw_{name}", point)


@pytest.fixture
def first_of_each(monkeypatch):
    """Draw the first figure of each kind completely; return their names."""
    drawn = []

    def once(name, draw):
        def either(file, **given):
            if name in {kind for kind, _ in drawn}:
                return point(file)
            drawn.append((name, file.name))
            return draw(file, **given)

        return either

    monkeypatch.setattr(figures, "DPI", 40)
    for name in DRAWING:
        monkeypatch.setattr(figures, f"draw_{name}", once(name, getattr(figures, f"draw_{name}")))
    return drawn


def kept(run: Path) -> list[Path]:
    return sorted((run / "explain" / "snapshots").glob("*"))


def page_of(run: Path) -> str:
    return explain(run, quiet=True).read_text()
