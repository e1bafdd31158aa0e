"""FrameNet: a frame-wise encoder and decoder around recurrent blocks, designed for speed on CPUs.

Convolutions along frequency reduce each frame to a few bands. Blocks apply a GRU along time (one sequence for each
band, shared weights) and attention along the bands. A decoder with skip connections gives a mask. Operations are few
and large, batch norms are merged at export, and the state is the hidden vectors of the GRUs. Similar to FastEnhancer
(arXiv 2509.21867), but with magnitudes as inputs, added skip connections, and masks bounded as in DPDCRN
(`layers.apply_mask`).
"""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn

from stillwave.errors import RecipeError
from stillwave.models.conv_stage import stage
from stillwave.models.denoiser import Denoiser
from stillwave.models.layers import Attention, BidirectionalGRU, UnidirectionalGRU, apply_mask
from stillwave.schema import ModelConfig
from stillwave.stft import Stft

PATCH = 4
"""Bins between positions of the encoder; its first kernel covers two patches."""
STAGES = 2
"""Residual convolutions of the encoder and of the decoder."""


class FrameNet(Denoiser):
    """Convolutions along frequency, `blocks` pairs of a GRU and attention on `bands` bands, and a mask.

    GRUs along time are unidirectional if causal, else bidirectional.
    """

    def __init__(self, config: ModelConfig) -> None:
        super().__init__(config, Stft(n_fft=512, hop=256))
        if config.microphones > 1:
            raise RecipeError("model.microphones: 'framenet' is for one microphone; 'dpdcrn' takes several")
        c = config.channels
        self.positions = (self.stft.bins - 1) // PATCH  # 64; position f covers bins 4f … 4f + 7
        self.entry = ConvNorm(3 * PATCH, c, taps=2)
        self.encoder = nn.ModuleList(ConvNorm(c, c, taps=3) for _ in range(STAGES))
        self.gather = FrequencyMap(self.positions, config.bands)
        self.places = nn.Parameter(torch.zeros(config.bands, c))
        self.blocks = nn.ModuleList(FrameBlock(c, config.causal) for _ in range(config.blocks))
        self.scatter = FrequencyMap(config.bands, self.positions)
        self.skips = nn.ModuleList(nn.Linear(c, c) for _ in range(STAGES + 1))
        self.decoder = nn.ModuleList(ConvNorm(c, c, taps=3) for _ in range(STAGES))
        self.mask = nn.Linear(c, 2 * 2 * PATCH)

    def estimate(self, spectrum: Tensor) -> Tensor:
        """Map `[B, 2, T, 257]` to `[B, 2, T, 257]`, T ≥ 1. See `Denoiser.estimate`."""
        self.check_spectrum(spectrum)
        B, _, T, F = spectrum.shape
        features = self.preprocess(spectrum)
        magnitude = (features.square().sum(1, keepdim=True) + 1e-8).sqrt()
        features = torch.cat([features, magnitude], dim=1).permute(0, 2, 3, 1)  # [B, T, F, 3]
        patches = nn.functional.pad(features, (0, 0, 0, PATCH - 1)).reshape(
            B, T, self.positions + 1, 3 * PATCH
        )
        x = self.entry(patches)  # [B, T, 64, C]
        levels = [x]
        for convolution in self.encoder:
            x = convolution(x)
            levels.append(x)
        y = self.gather(x) + self.places
        for block in self.blocks:
            y = block(y)
        x = self.scatter(y) + self.skips[0](levels.pop())
        for convolution, skip in zip(self.decoder, self.skips[1:], strict=True):
            x = convolution(x) + skip(levels.pop())
        parts = self.mask(x).unflatten(3, (2, 2 * PATCH))  # [B, T, 64, 2, 8]
        first, second = parts.split(PATCH, dim=4)  # overlapping patches are added
        padded = nn.functional.pad(first, (0, 0, 0, 0, 0, 1)) + nn.functional.pad(second, (0, 0, 0, 0, 1, 0))
        mask = padded.permute(0, 3, 1, 2, 4).flatten(3)[..., :F]
        return apply_mask(mask, spectrum)

    def fold(self) -> None:
        """Merge the norms, whose statistics are frozen, into adjacent layers."""
        for convolution in (self.entry, *self.encoder, *self.decoder):
            assert isinstance(convolution, ConvNorm)
            convolution.fold()
        for block in self.blocks:
            assert isinstance(block, FrameBlock)
            block.fold()

    def default_taps(self) -> dict[str, list[str]]:
        """Return tap sets: encoder, the output of each block, and the decoder stages."""
        return {
            "encoder": ["entry:btdc"],
            "middle": [f"blocks.{i}:btdc" for i in range(len(self.blocks))],
            "decoder": [f"decoder.{i}:btdc" for i in range(STAGES)],
        }


class FrameBlock(nn.Module):
    """x ← x + W·GRU(norm(x)) along time, then x ← x + attention(norm(x)) along bands: `[B, T, K, C]`."""

    def __init__(self, channels: int, causal: bool) -> None:
        super().__init__()
        self.time_norm: nn.Module = ChannelNorm(channels)
        self.time = (UnidirectionalGRU if causal else BidirectionalGRU)(channels, channels)
        self.time_out = nn.Linear(channels if causal else 2 * channels, channels)
        self.place_norm: nn.Module = ChannelNorm(channels)
        self.place = Attention(channels)

    def forward(self, x: Tensor) -> Tensor:
        """Map `[B, T, K, C]` to the same shape."""
        x = x + self.time_out(self.time(self.time_norm(x), axis=1))
        y: Tensor = x + self.place(self.place_norm(x))
        return y

    @torch.no_grad()
    def fold(self) -> None:
        """Merge the norms into the input weights of GRU and attention."""
        assert isinstance(self.time_norm, ChannelNorm)
        assert isinstance(self.place_norm, ChannelNorm)
        scale, shift = self.time_norm.scale_and_shift()
        for name in ("", "_reverse") if self.time.bidirectional else ("",):
            weight, bias = (getattr(self.time, f"{kind}_ih_l0{name}") for kind in ("weight", "bias"))
            bias += weight @ shift
            weight *= scale
        scale, shift = self.place_norm.scale_and_shift()
        self.place.input.bias.add_(self.place.input.weight @ shift)
        self.place.input.weight.mul_(scale)
        self.time_norm, self.place_norm = nn.Identity(), nn.Identity()


class ChannelNorm(nn.BatchNorm1d):
    """Batch normalisation of the last axis of `[..., C]`, with statistics over all other axes."""

    def scale_and_shift(self) -> tuple[Tensor, Tensor]:
        """Return scale and shift `[C]` of the frozen norm."""
        assert self.running_mean is not None
        assert self.running_var is not None
        scale = self.weight * torch.rsqrt(self.running_var + self.eps)
        return scale, self.bias - self.running_mean * scale

    def forward(self, input: Tensor) -> Tensor:
        """Map `[..., C]` to the same shape."""
        return super().forward(input.reshape(-1, input.shape[-1])).view(input.shape)


class ConvNorm(nn.Module):
    """A convolution along frequency, a batch norm and SiLU: `[B, T, D, C]` to `[B, T, D', out]`.

    With three taps D' is D (zeros outside), and the input is added to the output; with two, output d depends on inputs
    d and d + 1, and D' is D − 1.
    """

    def __init__(self, channels: int, out: int, taps: int) -> None:
        super().__init__()
        self.residual = taps == 3
        self.weight = nn.Parameter(torch.empty(taps, channels, out))
        nn.init.uniform_(self.weight, -1 / math.sqrt(taps * channels), 1 / math.sqrt(taps * channels))
        self.norm: nn.Module = ChannelNorm(out)

    def forward(self, x: Tensor) -> Tensor:
        """Map `[B, T, D, C]` to `[B, T, D', out]`."""
        return stage(x, self.weight, self.norm, self.residual)

    @torch.no_grad()
    def fold(self) -> None:
        """Merge the norm into the convolution and a bias."""
        assert isinstance(self.norm, ChannelNorm)
        scale, shift = self.norm.scale_and_shift()
        self.weight.mul_(scale)
        self.norm = Shift(shift)


class Shift(nn.Module):
    """Adds a constant to each channel: the bias of a merged norm."""

    def __init__(self, shift: Tensor) -> None:
        super().__init__()
        self.register_buffer("shift", shift)

    shift: Tensor

    def forward(self, x: Tensor) -> Tensor:
        """Map `[..., C]` to the same shape."""
        return x + self.shift


class FrequencyMap(nn.Module):
    """A learnt matrix along frequency, shared by all channels: `[B, T, D, C]` to `[B, T, out, C]`."""

    def __init__(self, size: int, out: int) -> None:
        super().__init__()
        centre = (torch.arange(out) + 0.5) * (size / out) - 0.5
        width = max(1.0, size / out)
        weight = (1 - (torch.arange(size) - centre[:, None]).abs() / width).clamp(min=0)
        self.weight = nn.Parameter(weight / weight.sum(1, keepdim=True))

    def forward(self, x: Tensor) -> Tensor:
        """Map `[B, T, D, C]` to `[B, T, out, C]`."""
        return torch.matmul(self.weight, x)
