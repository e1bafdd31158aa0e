"""Band-split recurrent network (after Luo and Yu, IEEE/ACM TASLP 2023; causal as Yu et al., Interspeech 2023).

The spectrum is split into bands, narrow at low and wide at high frequencies, and each band is mapped to one vector.
Blocks then run a GRU along time within each band and a GRU along the bands within each frame, with shared weights. No
layer operates on single bins: the network needs a tenth of the operations of a convolutional one of the same width.

Differences from the papers: GRUs instead of LSTMs, layer norm instead of group norm, compressed spectra and magnitudes
at the input, one shared hidden layer before the masks, and masks bounded as in DPDCRN (`layers.apply_mask`).
"""

from __future__ import annotations

import itertools
import math

import torch
from torch import Tensor, nn

from stillwave.errors import RecipeError
from stillwave.models import band_major
from stillwave.models.denoiser import Denoiser
from stillwave.models.layers import BidirectionalGRU, UnidirectionalGRU, apply_mask
from stillwave.schema import ModelConfig
from stillwave.stft import Stft


class BSRNN(Denoiser):
    """Band split, `blocks` pairs of GRUs, masks. GRUs along time are unidirectional if causal, else bidirectional.

    Examples:
        >>> from stillwave.schema import PRESETS
        >>> sum(p.numel() for p in BSRNN(PRESETS["bsrnn-xs"]).parameters())
        47938

    """

    def __init__(self, config: ModelConfig) -> None:
        super().__init__(config, Stft(n_fft=512, hop=256))
        if config.microphones > 1:
            raise RecipeError("model.microphones: 'bsrnn' is for one microphone; 'dpdcrn' takes several")
        widths = band_widths(self.stft.bins, config.bands)
        c = config.channels
        self.split = BandLinear([3 * width for width in widths], c, inward=True)
        self.blocks = nn.ModuleList(BandBlock(c, config.causal) for _ in range(config.blocks))
        self.mask_norm = nn.LayerNorm(c)
        self.mask_hidden = nn.Linear(c, c)
        self.mask = BandLinear([2 * width for width in widths], c, inward=False)
        self.register_buffer("to_bands", _interleave(widths, 3), persistent=False)
        self.register_buffer("to_bins", torch.argsort(_interleave(widths, 2)), persistent=False)
        self.folded = False

    to_bands: Tensor
    to_bins: Tensor

    def estimate(self, spectrum: Tensor) -> Tensor:
        """Map `[B, 2, T, 257]` to `[B, 2, T, 257]`, T ≥ 1. See `Denoiser.estimate`."""
        self.check_spectrum(spectrum)
        if self.folded:
            return band_major.estimate(self, spectrum)
        features = self.preprocess(spectrum)
        magnitude = (features.square().sum(1, keepdim=True) + 1e-8).sqrt()
        features = torch.cat([*features.unbind(1), magnitude.squeeze(1)], dim=2)  # [B, T, 3·F]
        x = self.split(features[:, :, self.to_bands])
        for block in self.blocks:
            x = block(x)
        hidden = nn.functional.silu(self.mask_hidden(self.mask_norm(x)))
        parts = self.mask(hidden)[:, :, self.to_bins]  # [B, T, 2·F]
        mask = torch.stack(parts.chunk(2, dim=2), dim=1)
        return apply_mask(mask, spectrum)

    def fold(self) -> None:
        """Compute in the layout of `band_major` from now on; layers can no longer be tapped."""
        self.folded = True
        for module in self.modules():
            if isinstance(module, nn.GRU):
                module.batch_first = False

    def default_taps(self) -> dict[str, list[str]]:
        """Return tap sets: the band vectors, the output of each block, and the layer before the masks."""
        return {
            "encoder": ["split:btdc"],
            "middle": [f"blocks.{i}:btdc" for i in range(len(self.blocks))],
            "decoder": ["mask_hidden:btdc"],
        }


class BandBlock(nn.Module):
    """x ← x + W·GRU(norm(x)) along time within bands, then along bands within frames: `[B, T, K, C]`."""

    def __init__(self, channels: int, causal: bool) -> None:
        super().__init__()
        self.time_norm = nn.LayerNorm(channels)
        self.time = (UnidirectionalGRU if causal else BidirectionalGRU)(channels, channels)
        self.time_out = nn.Linear(channels if causal else 2 * channels, channels)
        self.band_norm = nn.LayerNorm(channels)
        self.band = BidirectionalGRU(channels, channels // 2)
        self.band_out = nn.Linear(channels // 2 * 2, channels)

    def forward(self, x: Tensor) -> Tensor:
        """Map `[B, T, K, C]` to the same shape."""
        x = x + self.time_out(self.time(self.time_norm(x), axis=1))
        y: Tensor = x + self.band_out(self.band(self.band_norm(x)))
        return y


class BandLinear(nn.Module):
    """A separate linear layer for each band, from `sizes[k]` numbers of band k to `channels`, or back.

    `inward` maps `[B, T, Σ sizes]` to `[B, T, K, channels]`; otherwise the reverse. Weights are stored without padding
    and computed as one padded batch of matrices.
    """

    def __init__(self, sizes: list[int], channels: int, *, inward: bool) -> None:
        super().__init__()
        self.inward, self.bands, self.widest = inward, len(sizes), max(sizes)
        self.weight = nn.Parameter(torch.empty(sum(sizes), channels))
        self.bias = nn.Parameter(torch.zeros(len(sizes), channels) if inward else torch.zeros(sum(sizes)))
        for part in torch.split(self.weight, sizes):
            bound = 1 / math.sqrt(len(part) if inward else channels)
            nn.init.uniform_(part, -bound, bound)
        slots = [k * self.widest + i for k, size in enumerate(sizes) for i in range(size)]
        self.register_buffer("slots", torch.tensor(slots), persistent=False)
        places = torch.full((len(sizes) * self.widest,), sum(sizes))  # the last index is a zero
        places[slots] = torch.arange(sum(sizes))
        self.register_buffer("places", places, persistent=False)

    slots: Tensor
    places: Tensor

    def forward(self, x: Tensor) -> Tensor:
        """See the class."""
        B, T = x.shape[:2]
        weight = self.padded()
        if self.inward:
            parted = nn.functional.pad(x, (0, 1))[:, :, self.places].reshape(B * T, self.bands, self.widest)
            y = torch.bmm(parted.transpose(0, 1), weight).transpose(0, 1)
            return y.reshape(B, T, self.bands, weight.shape[2]) + self.bias
        parted = x.reshape(B * T, self.bands, weight.shape[2]).transpose(0, 1)
        y = torch.bmm(parted, weight.transpose(1, 2)).transpose(0, 1)
        return y.reshape(B, T, self.bands * self.widest)[:, :, self.slots] + self.bias

    def padded(self) -> Tensor:
        """Return the weights as `[K, widest, channels]`, with zeros below those of narrower bands."""
        return nn.functional.pad(self.weight, (0, 0, 0, 1))[self.places].reshape(self.bands, self.widest, -1)


def band_widths(bins: int, bands: int) -> list[int]:
    """Return the bins of each band: equal steps on the ERB-rate scale (Glasberg and Moore 1990), at least two bins.

    Examples:
        >>> widths = band_widths(257, 32)
        >>> sum(widths), len(widths), widths[0], widths[-1]
        (257, 32, 2, 28)

    """
    nyquist = 8000.0
    scale = 21.4 * math.log10(1 + 0.00437 * nyquist)
    edges = [0]
    for k in range(1, bands + 1):
        hz = (10 ** (scale * k / bands / 21.4) - 1) / 0.00437
        edges.append(max(edges[-1] + 2, round(hz / nyquist * bins)))
    edges[-1] = bins
    for k in range(bands - 1, 0, -1):  # narrow bands may have used too many bins
        edges[k] = min(edges[k], edges[k + 1] - 2)
    return [high - low for low, high in itertools.pairwise(edges)]


def _interleave(widths: list[int], parts: int) -> Tensor:
    """Return the order that maps flattened `[parts, bins]` to bands in sequence, each with all its parts."""
    bins, order, low = sum(widths), [], 0
    for width in widths:
        order += [part * bins + i for part in range(parts) for i in range(low, low + width)]
        low += width
    return torch.tensor(order)
