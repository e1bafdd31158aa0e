"""Small networks and features for the tests of distillation."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

from stillwave.distill import BatchInputs, I2srfTfckd, Layer, ModelOutputs, Shapes
from stillwave.schema import I2srfTfckdConfig

FRAME = 16
Features = dict[str, list[Tensor]]


class Toy(nn.Module):
    """A denoiser of signals [B, N] in frames of 16 samples, with batch statistics and dropout in it."""

    def __init__(self, channels: int, blocks: int) -> None:
        super().__init__()
        down = nn.Conv2d(1, channels, (1, 3), stride=(1, 2), padding=(0, 1))
        self.encoder = nn.ModuleList([down, nn.Conv2d(channels, channels, 3, padding=1)])
        self.norm = nn.BatchNorm2d(channels)
        self.middle = nn.ModuleList(nn.Conv2d(channels, channels, 1) for _ in range(blocks))
        self.dropout = nn.Dropout(0.2)
        up = nn.ConvTranspose2d(channels, 1, (1, 4), stride=(1, 2), padding=(0, 1))
        self.decoder = nn.ModuleList([nn.Conv2d(channels, channels, 3, padding=1), up])

    def forward(self, noisy: Tensor) -> Tensor:
        x = noisy.unflatten(1, (-1, FRAME)).unsqueeze(1)
        for layer in self.encoder:
            x = torch.tanh(layer(x))
        x = self.dropout(self.norm(x))
        for layer in self.middle:
            x = x + torch.tanh(layer(x))
        for layer in self.decoder:
            x = layer(torch.tanh(x))
        return x.squeeze(1).flatten(1)

    def default_taps(self) -> dict[str, list[str]]:
        return {
            name: [f"{name}.{i}" for i in range(len(getattr(self, name)))]
            for name in ("encoder", "middle", "decoder")
        }


def pair(seed: int = 0) -> tuple[Toy, Toy]:
    """A teacher and a student."""
    torch.manual_seed(seed)
    return Toy(6, 3), Toy(4, 1)


def features(batch: int = 3, frames: int = 7, channels: int = 4, blocks: int = 1, seed: int = 0) -> Features:
    """Random features laid out as DPDCRN's: 9, 4 and 4 bins; 4 bins; 4, 9 and 17 bins."""
    make = torch.Generator().manual_seed(seed)

    def layer(depth: int, bins: int) -> Tensor:
        return torch.randn(batch, depth, frames, bins, generator=make)

    return {
        "encoder": [layer(channels, 9), layer(channels, 4), layer(channels, 4)],
        "middle": [layer(channels, 4) for _ in range(blocks)],
        "decoder": [layer(channels, 4), layer(channels, 9), layer(2, 17)],
    }


def of_student(batch: int = 3, frames: int = 7, seed: int = 1) -> Features:
    return features(batch, frames, 4, 1, seed)


def of_teacher(batch: int = 3, frames: int = 7, seed: int = 2) -> Features:
    return features(batch, frames, 6, 4, seed)


def shapes(student: Features, teacher: Features) -> Shapes:
    def layers(sets: Features) -> dict[str, tuple[Layer, ...]]:
        return {
            name: tuple(Layer(f"{name}.{i}", *f.shape[1:]) for i, f in enumerate(fs))
            for name, fs in sets.items()
        }

    return Shapes(next(iter(student.values()))[0].shape[0], layers(student), layers(teacher))


def method(student: Features, teacher: Features, seed: int = 0, **options: Any) -> I2srfTfckd:
    """The flagship for these features, with every parameter moved off its default."""
    torch.manual_seed(seed)
    options.setdefault("fusion_channels", 8)
    built = I2srfTfckd.build(I2srfTfckdConfig(**options), shapes(student, teacher))
    with torch.no_grad():
        for parameter in built.parameters():
            parameter.add_(0.05 * torch.randn_like(parameter))
    return built


def losses(built: I2srfTfckd, student: Features, teacher: Features) -> dict[str, Tensor]:
    nothing = torch.empty(0)
    return built.losses(ModelOutputs(student, nothing), ModelOutputs(teacher, nothing), BatchInputs(nothing))


def total(built: I2srfTfckd, student: Features, teacher: Features) -> Tensor:
    return torch.stack(list(losses(built, student, teacher).values())).sum()


def attached(sets: Features) -> Features:
    """Copies that carry gradients."""
    return {name: [f.detach().clone().requires_grad_() for f in fs] for name, fs in sets.items()}


def gradients(sets: Features) -> list[Tensor]:
    found = [f.grad for fs in sets.values() for f in fs]
    assert all(g is not None for g in found)
    return [g for g in found if g is not None]
