"""Building blocks of DPDCRN. Feature maps are `[B, C, T, D]`: example, channel, frame, bin."""

from __future__ import annotations

from typing import cast

import torch
from torch import Tensor, nn
from torch.nn import functional

from stillwave.models.fused import norm_prelu


class ConvStage(nn.Module):
    """A convolution (or its transpose), affine InstanceNorm, and PReLU with a slope for each channel."""

    def __init__(self, conv: nn.Conv2d | nn.ConvTranspose2d) -> None:
        super().__init__()
        self.conv = conv
        self.norm = nn.InstanceNorm2d(conv.out_channels, affine=True)
        self.activation = nn.PReLU(conv.out_channels)

    def forward(self, x: Tensor) -> Tensor:
        """Any map to `[B, out_channels, T', D']`."""
        return norm_prelu(self.conv(x), self.norm, self.activation)


class DilatedDense(nn.Module):
    """Densely connected 2×3 convolutions, none of which looks ahead; their time dilation doubles each layer.

    Layer k sees [newest, …, oldest] of all earlier outputs, one frame and the frame 2^k before it. The newest
    output alone leaves.
    """

    def __init__(self, channels: int, depth: int = 4) -> None:
        super().__init__()
        self.layers = nn.ModuleList(
            ConvStage(nn.Conv2d((k + 1) * channels, channels, (2, 3), dilation=(2**k, 1), padding=(0, 1)))
            for k in range(depth)
        )

    def forward(self, x: Tensor) -> Tensor:
        """`[B, C, T, D]` to the same shape."""
        seen, newest = x, x
        for k, layer in enumerate(self.layers):
            if k:
                seen = torch.cat([newest, seen], dim=1)
            newest = layer(functional.pad(seen, (0, 0, 2**k, 0)))
        return newest


class Attention(nn.Module):
    """Multi-head self-attention (Vaswani et al., 2017) over sequences `[N, L, C]`, without a mask."""

    def __init__(self, channels: int, heads: int = 4) -> None:
        super().__init__()
        self.heads = heads
        self.input = nn.Linear(channels, 3 * channels)
        self.output = nn.Linear(channels, channels)
        nn.init.xavier_uniform_(self.input.weight)
        nn.init.zeros_(self.input.bias)
        nn.init.zeros_(self.output.bias)

    def forward(self, x: Tensor) -> Tensor:
        """`[N, L, C]` to the same shape."""
        qkv = self.input(x).unflatten(-1, (3, self.heads, -1))
        # contiguous heads: the backward pass of the fused attention is a third slower on strided ones
        q, k, v = qkv.permute(2, 0, 3, 1, 4).contiguous()
        mixed = functional.scaled_dot_product_attention(q, k, v)
        y: Tensor = self.output(mixed.transpose(1, 2).flatten(2))
        return y


class SequencePath(nn.Module):
    """Attention, then a GRU with twice as many hidden units as channels, each with a residual."""

    def __init__(self, channels: int, bidirectional: bool) -> None:
        super().__init__()
        hidden = 2 * channels
        self.norm_in = nn.LayerNorm(channels)
        self.attention = Attention(channels)
        self.norm_mid = nn.LayerNorm(channels)
        self.gru = nn.GRU(channels, hidden, batch_first=True, bidirectional=bidirectional)
        self.linear = nn.Linear(2 * hidden if bidirectional else hidden, channels)
        self.norm_out = nn.LayerNorm(channels)

    def forward(self, x: Tensor) -> Tensor:
        """`[N, L, C]` to the same shape."""
        x = self.norm_mid(x + self.attention(self.norm_in(x)))
        hidden, _ = self.gru(x)
        y: Tensor = self.norm_out(x + self.linear(functional.relu(hidden)))
        return y


class DualPathBlock(nn.Module):
    """What two paths make of one map: along frequency (both ways) and along time (forward)."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.frequency = SequencePath(channels, bidirectional=True)
        self.frequency_norm = nn.GroupNorm(1, channels, eps=1e-8)
        self.time = SequencePath(channels, bidirectional=False)
        self.time_norm = nn.GroupNorm(1, channels, eps=1e-8)

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """`[B, C, T, D]` to the outputs along frequency and along time, each of the same shape."""
        B, C, T, D = x.shape
        frames = x.permute(0, 2, 3, 1).reshape(B * T, D, C)
        along_frequency = self.frequency(frames).view(B, T, D, C).permute(0, 3, 1, 2)
        tracks = x.permute(0, 3, 2, 1).reshape(B * D, T, C)
        along_time = self.time(tracks).view(B, D, T, C).permute(0, 3, 2, 1)
        return self.frequency_norm(along_frequency), self.time_norm(_like(along_time))


def _like(x: Tensor) -> Tensor:
    """Channels-last, as every other map on a CPU is; elsewhere as it comes."""
    return x.contiguous(memory_format=torch.channels_last) if x.device.type == "cpu" else x


class DualPath(nn.Module):
    """N dual-path blocks on half of the channels: x ← x + k₁·f(x) + k₂·t(x), with k₁ and k₂ shared by all.

    One head, shared too, brings the map after each block back to all channels. `outputs.0`, `outputs.1`, … do
    nothing: they are the names under which the head's output after each block can be tapped.
    """

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
        """`[B, C, T, D]` to the head's output after the last block, of the same shape."""
        x = self.input(x)
        y = x
        for block, output in zip(self.blocks, self.outputs, strict=True):
            along_frequency, along_time = block(x)
            x = x + self.frequency_scale * along_frequency + self.time_scale * along_time
            y = output(self.head(x))
        return y


class MaskHead(nn.Module):
    """The mask's real and imaginary part: a transposed convolution to twice the bins, cropped."""

    def __init__(self, channels: int, bins: int) -> None:
        super().__init__()
        self.conv = nn.ConvTranspose2d(channels, 2, (1, 3), stride=(1, 2))
        self.bins = bins

    def forward(self, x: Tensor) -> Tensor:
        """`[B, C, T, D]` to `[B, 2, T, bins]`, bins ≤ 2·D + 1."""
        return cast(Tensor, self.conv(x))[..., : self.bins]


def apply_mask(mask: Tensor, noisy: Tensor) -> Tensor:
    """Complex ratio mask with a bounded magnitude: tanh|m|·|Y|·exp(j(∠m + ∠Y)) = (tanh|m|/|m|)·m·Y.

    `mask` and `noisy` are `[B, 2, T, F]`: real and imaginary part. The product form has no angle, whose
    gradient is not defined where m or Y is 0; tanh|m|/|m| is 1 at m = 0, with gradient 0.
    """
    size = mask.square().sum(1, keepdim=True).clamp(min=1e-12).sqrt()
    a, b = (mask * (torch.tanh(size) / size)).unbind(1)
    c, d = noisy.unbind(1)
    return torch.stack([a * c - b * d, a * d + b * c], dim=1)
