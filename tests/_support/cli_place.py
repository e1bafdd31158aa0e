"""A folder in which the command line distils in seconds."""

from pathlib import Path

import pytest
import torch
from cli_recordings import RECIPE, one_thread, write_recordings  # noqa: F401

from stillwave import checkpoint
from stillwave.models import build
from stillwave.schema import ModelConfig


@pytest.fixture(scope="module")
def place(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("tiny")
    write_recordings(folder)
    text = RECIPE.replace("FOLDER", str(folder))
    (folder / "alone.yaml").write_text(text)
    (folder / "taught.yaml").write_text(
        text + "distill: {teacher: absent, balance_steps: 2, method: {fusion_channels: 8}}\n"
    )
    config = ModelConfig(channels=16, blocks=2)
    torch.manual_seed(0)
    checkpoint.save(folder / "teacher", build(config), checkpoint.Card(model=config))
    return folder
