"""Building blocks of the dual-path dense networks. Feature maps are `[B, C, T, D]`."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F


class ConvStage(nn.Sequential):
    """A convolution (or its transpose), InstanceNorm with an affine part, and one PReLU slope a channel."""

    def __init__(self, conv: nn.Module, channels: int) -> None:
        super().__init__()
        self.conv = conv
        self.norm = nn.InstanceNorm2d(channels, affine=True)
        self.activation = nn.PReLU(channels)


class DilatedDense(nn.Module):
    def __init__(self, channels: int, depth: int = 4) -> None:
        super().__init__()
        self.layers = nn.ModuleList(
            ConvStage(nn.Conv2d((k + 1) * channels, channels, (2, 3), dilation=(2**k, 1)), channels)
            for k in range(depth)
        )

    def forward(self, x: Tensor) -> Tensor:
        newest = x
        for k, layer in enumerate(self.layers):
            newest = layer(F.pad(x, (1, 1, 2**k, 0)))
            x = torch.cat([newest, x], dim=1)
        return newest


class Attention(nn.Module):
    def __init__(self, channels: int, heads: int = 4) -> None:
        super().__init__()
        self.heads = heads
        self.input = nn.Linear(channels, 3 * channels)
        self.output = nn.Linear(channels, channels)
        nn.init.xavier_uniform_(self.input.weight)
        nn.init.zeros_(self.input.bias)
        nn.init.zeros_(self.output.bias)

    def forward(self, x: Tensor) -> Tensor:
        """x [N, L, C]."""
        qkv = self.input(x).unflatten(-1, (3, self.heads, -1))
        q, k, v = qkv.permute(2, 0, 3, 1, 4)
        return self.output(F.scaled_dot_product_attention(q, k, v).transpose(1, 2).flatten(2))


class SequencePath(nn.Module):
    def __init__(self, channels: int, bidirectional: bool) -> None:
        super().__init__()
        hidden = 2 * channels
        self.norm_in = nn.LayerNorm(channels)
        self.attention = Attention(channels)
        self.norm_mid = nn.LayerNorm(channels)
        self.gru = nn.GRU(channels, hidden, batch_first=True, bidirectional=bidirectional)
        self.linear = nn.Linear(hidden * (1 + bidirectional), channels)
        self.norm_out = nn.LayerNorm(channels)

    def forward(self, x: Tensor) -> Tensor:
        x = self.norm_mid(x + self.attention(self.norm_in(x)))
        return self.norm_out(x + self.linear(F.relu(self.gru(x)[0])))


class DualPathBlock(nn.Module):
    def __init__(self, channels: int) -> None:
        super().__init__()
        self.frequency = SequencePath(channels, bidirectional=True)
        self.frequency_norm = nn.GroupNorm(1, channels, eps=1e-8)
        self.time = SequencePath(channels, bidirectional=False)
        self.time_norm = nn.GroupNorm(1, channels, eps=1e-8)

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        B, C, T, D = x.shape
        along_f = self.frequency(x.permute(0, 2, 3, 1).reshape(B * T, D, C))
        along_t = self.time(x.permute(0, 3, 2, 1).reshape(B * D, T, C))
        return (
            self.frequency_norm(along_f.view(B, T, D, C).permute(0, 3, 1, 2)),
            self.time_norm(along_t.view(B, D, T, C).permute(0, 3, 2, 1)),
        )
