"""DPDCRN: dual-path dense convolutional recurrent network (arXiv 2506.13127, section III)."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from stillwave.errors import StillwaveError
from stillwave.models.denoiser import Denoiser
from stillwave.models.layers import ConvStage, DilatedDense, DualPathBlock
from stillwave.schema import ModelConfig
from stillwave.stft import Stft

BINS = 257


class Middle(nn.Module):
    def __init__(self, channels: int, blocks: int) -> None:
        super().__init__()
        half = channels // 2
        self.input = nn.Sequential(nn.Conv2d(channels, half, 1), nn.PReLU())
        self.blocks = nn.ModuleList(DualPathBlock(half) for _ in range(blocks))
        self.frequency_scale = nn.Parameter(torch.ones(1))
        self.time_scale = nn.Parameter(torch.ones(1))
        self.head = nn.Sequential(nn.PReLU(), nn.Conv2d(half, channels, 1))
        self.outputs = nn.ModuleList(nn.Identity() for _ in range(blocks))

    def forward(self, x: Tensor) -> Tensor:
        x = self.input(x)
        for block, output in zip(self.blocks, self.outputs, strict=True):
            along_frequency, along_time = block(x)
            x = x + self.frequency_scale * along_frequency + self.time_scale * along_time
            y: Tensor = output(self.head(x))
        return y


class MaskHead(nn.Module):
    def __init__(self, channels: int) -> None:
        super().__init__()
        self.conv = nn.ConvTranspose2d(channels, 2, (1, 3), stride=(1, 2))

    def forward(self, x: Tensor) -> Tensor:
        y: Tensor = self.conv(x)[..., :BINS]
        return y


def apply_mask(mask: Tensor, noisy: Tensor) -> Tensor:
    squared = mask.square().sum(1, keepdim=True)
    size = squared.clamp(min=1e-12).sqrt()
    gain = torch.tanh(size) / size
    a, b = (gain * mask).unbind(1)
    c, d = noisy.unbind(1)
    return torch.stack([a * c - b * d, a * d + b * c], dim=1)


class DPDCRN(Denoiser):
    def __init__(self, config: ModelConfig) -> None:
        super().__init__(config, Stft())
        c = config.channels
        self.encoder = nn.ModuleList(
            [
                ConvStage(nn.Conv2d(2 * config.microphones, c, (1, 3), stride=(1, 2), padding=(0, 1)), c),
                ConvStage(nn.Conv2d(c, c, (1, 3), stride=(1, 2)), c),
                DilatedDense(c),
            ]
        )
        self.middle = Middle(c, config.blocks)
        self.decoder = nn.ModuleList(
            [
                DilatedDense(c),
                ConvStage(nn.ConvTranspose2d(c, c, (1, 3), stride=(1, 2)), c),
                MaskHead(c),
            ]
        )

    def estimate(self, spectrum: Tensor) -> Tensor:
        x = spectrum
        for stage in self.encoder:
            x = stage(x)
        x = self.middle(x)
        for stage in self.decoder:
            x = stage(x)
        return apply_mask(x, spectrum[:, :: self.microphones])

    def default_taps(self) -> dict[str, list[str]]:
        return {
            "encoder": [f"encoder.{i}" for i in range(3)],
            "middle": [f"middle.outputs.{i}" for i in range(self.config.blocks)],
            "decoder": [f"decoder.{i}" for i in range(3)],
        }
