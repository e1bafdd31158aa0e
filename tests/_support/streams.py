"""Causal networks to stream in tests, and ways to run them."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from stillwave.models import PRESETS, Denoiser, build
from stillwave.models.streaming import streaming
from stillwave.schema import ModelConfig

CAUSAL = [name for name, config in PRESETS.items() if config.causal]
SMALL = {
    "dpdcrn frame": ModelConfig(channels=8, causal=True, norm="frame", past_frames=5, depth=2, compression=0.3),
    "dpdcrn running": ModelConfig(channels=8, causal=True, norm="running", past_frames=5, depth=2, compression=0.3),
    "dpdcrn batch": ModelConfig(channels=8, causal=True, norm="batch", past_frames=5, depth=2, compression=0.3),
    "dpdcrn two blocks": ModelConfig(channels=8, blocks=2, causal=True, norm="running", past_frames=2, depth=4),
    "dpdcrn two microphones": ModelConfig(
        channels=8, microphones=2, causal=True, norm="batch", past_frames=3, depth=1, output="filters"
    ),
    "bsrnn": ModelConfig(name="bsrnn", channels=8, blocks=2, causal=True, norm="frame", bands=12, compression=0.3),
    "bsrnn level-normalized": ModelConfig(
        name="bsrnn", channels=8, causal=True, norm="frame", bands=12, compression=0.3, level_normalized=True
    ),
    "fullband": ModelConfig(
        name="fullband", channels=8, causal=True, norm="frame", bands=12, compression=0.3, level_normalized=True,
        upper_bands=4, upper_channels=8,
    ),
    "dpdcrn level-normalized": ModelConfig(
        channels=8, microphones=2, causal=True, norm="batch", past_frames=3, depth=1, compression=0.3,
        level_normalized=True,
    ),
}  # fmt: skip
BUILT: dict[str, Denoiser] = {}
FRAMES = 24
TOLERANCE = 1e-5


def network(name: str) -> Denoiser:
    """A network of random weights whose norms hold statistics of their own."""
    if name not in BUILT:
        torch.manual_seed(0)
        model = build(SMALL[name] if name in SMALL else PRESETS[name])
        for module in model.modules():
            if isinstance(module, nn.BatchNorm1d | nn.BatchNorm2d):
                module.running_mean.normal_(std=0.1)
                module.running_var.uniform_(0.5, 2)
        BUILT[name] = model.eval()
    return BUILT[name]


def spectrum(model: Denoiser, frames: int = FRAMES, batch: int = 1, seed: int = 0) -> Tensor:
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(batch, 2 * model.microphones, frames, model.stft.bins, generator=generator)


@torch.no_grad()
def run(model: Denoiser, x: Tensor, sizes: Sequence[int]) -> Tensor:
    """`x` through a stream in blocks of `sizes` frames, the last of them as often as it takes."""
    parts, first, sizes = [], 0, list(sizes)
    with streaming(model):
        while first < x.shape[2]:
            size = sizes.pop(0) if len(sizes) > 1 else sizes[0]
            parts.append(model.estimate(x[:, :, first : first + size]))
            first += size
    return torch.cat(parts, dim=2)


@torch.no_grad()
def whole(model: Denoiser, x: Tensor) -> Tensor:
    return model.estimate(x)


def assert_near(found: Tensor, expected: Tensor, tolerance: float = TOLERANCE) -> None:
    """As near as rounding lets them be: against the greatest number there is, or 1."""
    scale = max(1.0, float(expected.abs().max()))
    torch.testing.assert_close(found, expected, atol=tolerance * scale, rtol=0)
