"""Two small networks that are not of the package, a distiller of them, and its losses and gradients."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from stillwave.distill import Distiller
from stillwave.distill.method import resolve_method
from stillwave.schema import I2srfTfckdConfig

CONFIG = I2srfTfckdConfig(fusion_channels=8, pooled_size=4)
OF_ESTIMATES = ["output", "dfkd", "subband", "dispatch"]


class Net(nn.Module):
    """Frames of 16 samples through two layers and back."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.first = nn.Conv1d(1, width, 16, stride=16)
        self.second = nn.Conv1d(width, width, 3, padding=1)
        self.last = nn.ConvTranspose1d(width, 1, 16, stride=16)

    def forward(self, noisy):
        return self.last(self.middle(noisy.unsqueeze(1))).squeeze(1)

    def middle(self, x):
        return torch.tanh(self.second(torch.tanh(self.first(x))))


TAPS = {"middle": (["first:bct", "second:bct"], ["first:bct", "second:bct"])}
NOISY = torch.randn(3, 1600, generator=torch.Generator().manual_seed(0))


def nets(student=Net, teacher=Net):
    torch.manual_seed(0)
    return teacher(8), student(4)


def distiller(teacher, student, method=CONFIG, **options) -> Distiller:
    taps = TAPS if resolve_method(method).uses_features else None
    return Distiller(teacher, student, method, taps, example=NOISY, **options)


def gradients(d: Distiller, noisy=NOISY) -> tuple[dict[str, float], torch.Tensor]:
    losses = d(noisy, clean=noisy)[1]
    sum(losses.values()).backward()
    flat = torch.cat([p.grad.flatten() for p in d.student.parameters() if p.grad is not None])
    return {name: float(loss.detach()) for name, loss in losses.items()}, flat


def same(found, expected, tolerance=1e-5):
    assert found[0] == pytest.approx(expected[0], rel=tolerance)
    torch.testing.assert_close(found[1].double(), expected[1].double(), rtol=1e-3, atol=tolerance)
