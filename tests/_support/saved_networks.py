"""Small causal networks with weights that leave no axis idle, for the tests of export."""

from __future__ import annotations

from pathlib import Path

import torch

from stillwave import checkpoint
from stillwave.models import Denoiser, build
from stillwave.schema import ModelConfig

SMALL = {"channels": 8, "causal": True, "compression": 0.3}
CONFIGS = {
    "bsrnn": {**SMALL, "name": "bsrnn", "norm": "frame", "blocks": 2, "bands": 16},
    "dpdcrn": {**SMALL, "name": "dpdcrn", "norm": "batch", "depth": 2, "past_frames": 4},
    "running": {**SMALL, "name": "dpdcrn", "norm": "running", "depth": 1, "past_frames": 3},
    "level_normalized": {**SMALL, "name": "bsrnn", "norm": "frame", "bands": 16, "level_normalized": True},
    "microphones": {
        **SMALL, "name": "dpdcrn", "norm": "frame", "depth": 1, "microphones": 2, "output": "filters"
    },
    "whole": {"name": "dpdcrn", "channels": 8, "depth": 1},
}  # fmt: skip


def network(kind: str) -> Denoiser:
    """A network whose every parameter and statistic was moved from where it starts."""
    torch.manual_seed(0)
    model = build(ModelConfig.model_validate(CONFIGS[kind])).eval()
    with torch.no_grad():
        for name, tensor in model.state_dict().items():
            if tensor.is_floating_point():
                tensor += 0.05 * torch.rand_like(tensor) * (1 if "var" in name else torch.randn(()).sign())
    return model


def saved(folder: Path, kind: str) -> Path:
    """Its checkpoint."""
    model = network(kind)
    card = checkpoint.Card(model=model.config, step=7, scores={"si_sdr": 1.5}, data="nothing")
    checkpoint.save(folder, model, card)
    return folder
