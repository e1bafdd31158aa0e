"""`stillwave enhance` with a small network, and recordings to give it."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
import typer
from typer.testing import CliRunner

from stillwave import audio, checkpoint
from stillwave.cli import guard
from stillwave.cli.enhance import enhance
from stillwave.models import build
from stillwave.schema import ModelConfig


@pytest.fixture(scope="module")
def enhance_model(tmp_path_factory) -> Path:
    torch.manual_seed(0)
    network = build(ModelConfig(channels=8, blocks=1))
    folder = tmp_path_factory.mktemp("model") / "c"
    checkpoint.save(folder, network, checkpoint.Card(model=network.config))
    return folder


@pytest.fixture
def run_enhance(enhance_model):
    app = typer.Typer()
    app.command()(guard(enhance))

    def call(*arguments, with_model=True, input=None):
        chosen = ["--model", str(enhance_model), "--device", "cpu"] if with_model else []
        return CliRunner().invoke(app, [*(str(a) for a in arguments), *chosen], input=input)

    return call


def recording(path: Path, samples: int = 2_000, rate: int = 16_000, channels: int = 1) -> Path:
    noise = 0.1 * np.random.default_rng(0).standard_normal((channels, samples))
    audio.write(path, noise, rate)
    return path
