"""One small causal network: as a module, as a file, and as the enhancer of that file."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from exported import export

from stillwave.inference import Enhancer
from stillwave.inference.onnx_model import read
from stillwave.models import build
from stillwave.models.denoiser import Denoiser
from stillwave.schema import ModelConfig

SMALL = ModelConfig(name="bsrnn", channels=8, blocks=1, bands=8, causal=True, norm="frame", compression=0.3)


@pytest.fixture(scope="session")
def network() -> Denoiser:
    """Random, and far from the identity."""
    torch.manual_seed(0)
    return build(SMALL).eval()


@pytest.fixture(scope="session")
def file(network: Denoiser, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return export(network, tmp_path_factory.mktemp("exported") / "small.onnx")


@pytest.fixture(scope="session")
def enhancer(file: Path) -> Enhancer:
    return Enhancer(read(file))
