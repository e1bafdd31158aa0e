"""Building blocks of DPDCRN. Feature maps are `[B, C, T, D]`: example, channel, frame, bin."""

from __future__ import annotations

from typing import cast

import torch
from torch import Tensor, nn
from torch.nn import functional

from stillwave.models import recurrent
from stillwave.models.fused import norm_prelu
from stillwave.models.norms import make_norm
from stillwave.models.streaming import CausalPad, StreamState


class ConvStage(nn.Module):
    """A convolution or transposed convolution, a norm (`norms.py`), and PReLU with a slope for each channel."""

    def __init__(self, conv: nn.Conv2d | nn.ConvTranspose2d, norm: str = "instance") -> None:
        super().__init__()
        self.conv = conv
        self.norm = make_norm(norm, conv.out_channels)
        self.activation = nn.PReLU(conv.out_channels)

    def forward(self, x: Tensor) -> Tensor:
        """Map `[B, C, T, D]` to `[B, out_channels, T', D']`."""
        return self.finish(self.conv(x))

    def finish(self, x: Tensor) -> Tensor:
        """Return norm and activation of what was convolved."""
        if isinstance(self.norm, nn.InstanceNorm2d):
            return norm_prelu(x, self.norm, self.activation)
        y: Tensor = self.activation(self.norm(x))
        return y


class DilatedDense(nn.Module):
    """Densely connected, causal 2×3 convolutions; the dilation in time doubles with each layer.

    Inputs of layer k are all earlier outputs, newest first, at a frame and at the frame 2^k before it. The output is
    that of the last layer.

    A stream keeps what the earlier tap of each layer made of past frames, not its inputs: (k + 1) times fewer channels.
    """

    def __init__(self, channels: int, depth: int = 4, norm: str = "instance") -> None:
        super().__init__()
        self.layers = nn.ModuleList(
            ConvStage(
                nn.Conv2d((k + 1) * channels, channels, (2, 3), dilation=(2**k, 1), padding=(0, 1)), norm
            )
            for k in range(depth)
        )
        self.pasts = nn.ModuleList(CausalPad(2**k) for k in range(depth))

    def forward(self, x: Tensor) -> Tensor:
        """Map `[B, C, T, D]` to the same shape."""
        inputs, newest = x, x
        for k, layer in enumerate(self.layers):
            if k:
                inputs = torch.cat([newest, inputs], dim=1)
            past = cast(CausalPad, self.pasts[k])
            newest = self._streamed(k, inputs) if past.memory.open else layer(past(inputs))
        return newest

    def _streamed(self, k: int, inputs: Tensor) -> Tensor:
        """Return layer k of a block `[B, (k+1)·C, T, D]` of a stream: both taps at once, the earlier one delayed."""
        layer = cast(ConvStage, self.layers[k])
        weight = torch.cat([layer.conv.weight[:, :, :1], layer.conv.weight[:, :, 1:]])
        taps = functional.conv2d(inputs, weight, padding=(0, 1))
        past, present = taps.chunk(2, dim=1)
        delayed = self.pasts[k](past)[:, :, : -(2**k)]
        bias = cast(Tensor, layer.conv.bias)[:, None, None]
        return layer.finish(present + delayed + bias)


class Attention(nn.Module):
    """Multi-head self-attention (Vaswani et al., 2017) over sequences `[B, S, L, C]`.

    Each position attends to all others or, with `past`, to itself and the `past` − 1 before it. Keys and values before
    the start are zeros.
    """

    def __init__(self, channels: int, past: int = 0, heads: int = 4) -> None:
        super().__init__()
        self.heads = heads
        self.past = past
        self.memory = StreamState() if past else None
        self.input = nn.Linear(channels, 3 * channels)
        self.output = nn.Linear(channels, channels)
        nn.init.xavier_uniform_(self.input.weight)
        nn.init.zeros_(self.input.bias)
        nn.init.zeros_(self.output.bias)

    def forward(self, x: Tensor) -> Tensor:
        """Map `[B, S, L, C]` to the same shape."""
        B, S, L, C = x.shape
        qkv = self.input(x).view(B * S, L, 3, self.heads, C // self.heads)
        # contiguous, because the backward pass of fused attention is a third slower on strided heads
        q, k, v = qkv.permute(2, 0, 3, 1, 4).contiguous()
        if self.memory is None:
            mixed = functional.scaled_dot_product_attention(q, k, v)
        else:
            k, v = self._with_past(torch.stack([k, v]), B, self.memory)
            mixed = functional.scaled_dot_product_attention(q, k, v, attn_mask=self._reach(L, x.device))
        y: Tensor = self.output(mixed.transpose(1, 2).reshape(B, S, L, C))
        return y

    def _with_past(self, keys_values: Tensor, batch: int, memory: StreamState) -> tuple[Tensor, Tensor]:
        """Return keys and values `[2, B·S, heads, L, E]` after those of the `past` − 1 positions before."""
        _, N, H, L, E = keys_values.shape
        split = keys_values.reshape(2, batch, N // batch, H, L, E).transpose(0, 1)
        before = memory.recall(split.new_zeros(batch, 2, N // batch, H, self.past - 1, E))
        whole = torch.cat([before, split], dim=4)
        memory.keep(whole[:, :, :, :, 1 - self.past :])
        k, v = whole.transpose(0, 1).flatten(1, 2).unbind(0)
        return k, v

    def _reach(self, length: int, device: torch.device) -> Tensor:
        """Return which of the `past` − 1 + L keys each of L queries attends to."""
        query = torch.arange(length, device=device)[:, None]
        key = torch.arange(length + self.past - 1, device=device)[None, :]
        return (key >= query) & (key < query + self.past)


class UnidirectionalGRU(nn.GRU):
    """A GRU over maps `[B, X, Y, C]` in forward direction, with a streaming state."""

    def __init__(self, channels: int, hidden: int) -> None:
        super().__init__(channels, hidden, batch_first=True)
        self.memory = StreamState()

    def forward(self, x: Tensor, axis: int = 2) -> Tensor:  # type: ignore[override]
        """Map `[B, X, Y, C]` to `[B, X, Y, hidden]`; sequences run along `axis`, 1 or 2."""
        if not self.memory.open and recurrent.usable(self, x):
            return recurrent.run(self, x, axis)
        if axis == 1:
            return self.forward(x.transpose(1, 2)).transpose(1, 2)
        B, S, L, C = x.shape
        before = self.memory.recall(x.new_zeros(B, S, self.hidden_size))
        hidden, last = super().forward(x.reshape(B * S, L, C), before.reshape(1, B * S, self.hidden_size))
        self.memory.keep(last.reshape(B, S, self.hidden_size))
        y: Tensor = hidden.reshape(B, S, L, self.hidden_size)
        return y


class BidirectionalGRU(nn.GRU):
    """A GRU over maps `[B, X, Y, C]` in both directions."""

    def __init__(self, channels: int, hidden: int) -> None:
        super().__init__(channels, hidden, batch_first=True, bidirectional=True)

    def forward(self, x: Tensor, axis: int = 2) -> Tensor:  # type: ignore[override]
        """Map `[B, X, Y, C]` to `[B, X, Y, 2·hidden]`; sequences run along `axis`, 1 or 2."""
        if recurrent.usable(self, x):
            return recurrent.run(self, x, axis)
        if axis == 1:
            return self.forward(x.transpose(1, 2)).transpose(1, 2)
        B, S, L, C = x.shape
        hidden, _ = super().forward(x.reshape(B * S, L, C))
        y: Tensor = hidden.reshape(B, S, L, 2 * self.hidden_size)
        return y


class SequencePath(nn.Module):
    """Attention, then a GRU with twice as many hidden units as channels, each with a residual.

    The GRU is bidirectional along frequency and unidirectional along time. Attention covers `past` frames, or all
    frames with `past` = 0.
    """

    def __init__(self, channels: int, bidirectional: bool, past: int = 0) -> None:
        super().__init__()
        hidden = 2 * channels
        self.norm_in = nn.LayerNorm(channels)
        self.attention = Attention(channels, past)
        self.norm_mid = nn.LayerNorm(channels)
        self.gru = (BidirectionalGRU if bidirectional else UnidirectionalGRU)(channels, hidden)
        self.linear = nn.Linear(2 * hidden if bidirectional else hidden, channels)
        self.norm_out = nn.LayerNorm(channels)

    def forward(self, x: Tensor) -> Tensor:
        """Map `[B, S, L, C]`, S sequences of length L for each example, to the same shape."""
        x = self.norm_mid(x + self.attention(self.norm_in(x)))
        y: Tensor = self.norm_out(x + self.linear(functional.relu(self.gru(x))))
        return y


class DualPathBlock(nn.Module):
    """Two paths over the same input: along frequency (bidirectional) and along time (unidirectional)."""

    def __init__(self, channels: int, norm: str = "instance", past: int = 0) -> None:
        super().__init__()
        self.frequency = SequencePath(channels, bidirectional=True)
        self.frequency_norm = make_norm(norm, channels, shared=True)
        self.time = SequencePath(channels, bidirectional=False, past=past)
        self.time_norm = make_norm(norm, channels, shared=True)

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Return the outputs along frequency and along time, each of the shape `[B, C, T, D]` of the input."""
        along_frequency = self.frequency(x.permute(0, 2, 3, 1)).permute(0, 3, 1, 2)
        along_time = self.time(x.permute(0, 3, 2, 1)).permute(0, 3, 2, 1)
        return self.frequency_norm(along_frequency), self.time_norm(_channels_last(along_time))


def _channels_last(x: Tensor) -> Tensor:
    """Return a map in channels-last layout on a CPU, otherwise unchanged."""
    return x.contiguous(memory_format=torch.channels_last) if x.device.type == "cpu" else x


class DualPath(nn.Module):
    """N dual-path blocks on half of the channels: x ← x + k₁·f(x) + k₂·t(x), with k₁ and k₂ shared by all blocks.

    A shared head maps the result of each block back to all channels. `outputs.0`, `outputs.1`, … are identities, so
    that the head's output after each block can be tapped.
    """

    def __init__(self, channels: int, blocks: int, norm: str = "instance", past: int = 0) -> None:
        super().__init__()
        half = channels // 2
        self.input = nn.Sequential(nn.Conv2d(channels, half, 1), nn.PReLU())
        self.blocks = nn.ModuleList(DualPathBlock(half, norm, past) for _ in range(blocks))
        self.frequency_scale = nn.Parameter(torch.ones(1))
        self.time_scale = nn.Parameter(torch.ones(1))
        self.head = nn.Sequential(nn.PReLU(), nn.Conv2d(half, channels, 1))
        self.outputs = nn.ModuleList(nn.Identity() for _ in range(blocks))

    def forward(self, x: Tensor) -> Tensor:
        """Return the head's output after the last block, of the shape `[B, C, T, D]` of the input."""
        x = self.input(x)
        y = x
        for block, output in zip(self.blocks, self.outputs, strict=True):
            along_frequency, along_time = block(x)
            x = x + self.frequency_scale * along_frequency + self.time_scale * along_time
            y = output(self.head(x))
        return y


class MaskHead(nn.Module):
    """A transposed convolution to twice the bins, cropped: real parts of the masks, then imaginary parts."""

    def __init__(self, channels: int, bins: int, masks: int = 1) -> None:
        super().__init__()
        self.conv = nn.ConvTranspose2d(channels, 2 * masks, (1, 3), stride=(1, 2))
        self.bins = bins

    def forward(self, x: Tensor) -> Tensor:
        """Map `[B, C, T, D]` to `[B, 2·masks, T, bins]`, bins ≤ 2·D + 1."""
        return cast(Tensor, self.conv(x))[..., : self.bins]


def compress(spectrum: Tensor, power: float, floor: float = 1e-8) -> Tensor:
    """Raise magnitudes to `power` and keep phases: `[B, 2·M, T, F]`, real parts, then imaginary parts.

    |X|² + floor replaces |X|², so that the gradient is finite at 0 (full scale is 1, a window sums to 326).
    """
    if power == 1:
        return spectrum
    real, imaginary = spectrum.chunk(2, dim=1)
    scale = (real.square() + imaginary.square() + floor) ** ((power - 1) / 2)
    return spectrum * torch.cat([scale, scale], dim=1)


def apply_mask(mask: Tensor, noisy: Tensor) -> Tensor:
    """Apply a complex ratio mask with bounded magnitude: tanh|m|·|Y|·exp(j(∠m + ∠Y)) = (tanh|m|/|m|)·m·Y.

    `mask` and `noisy` are `[B, 2, T, F]`: real and imaginary part. The product form needs no angle, whose gradient is
    not defined where m or Y is 0; tanh|m|/|m| is 1 at m = 0, with gradient 0.
    """
    a, b = mask.unbind(1)
    size = (a.square() + b.square()).clamp(min=1e-12).sqrt()
    scale = torch.tanh(size) / size
    a, b = a * scale, b * scale
    c, d = noisy.unbind(1)
    return torch.stack([a * c - b * d, a * d + b * c], dim=1)


def apply_filters(filters: Tensor, noisy: Tensor) -> Tensor:
    """Filter and sum: Σ_m W_m · Y_m over microphones, unbounded, so that microphones can cancel one another.

    `filters` and `noisy` are `[B, 2·M, T, F]`: real parts, then imaginary parts. Returns `[B, 2, T, F]`.
    """
    a, b = filters.chunk(2, dim=1)
    c, d = noisy.chunk(2, dim=1)
    return torch.stack([(a * c - b * d).sum(1), (a * d + b * c).sum(1)], dim=1)
