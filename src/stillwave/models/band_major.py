"""The band-split network in the order in which runtimes execute it fastest, for export.

`BSRNN` computes `[B, T, K, C]`, which is what taps read. Here maps are `[K, N, C]` with N = B·T: the layers of each
band are products of matrices for each k, a GRU along the bands reads its input as it is, and bins are sorted into bands
by moving rows of N numbers instead of single ones. The values are the same but for rounding. Measurements:
docs/benchmarks.md, "Speed of files".
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn

from stillwave.models.layers import UnidirectionalGRU, apply_mask

if TYPE_CHECKING:
    from stillwave.models.bsrnn import BSRNN, BandBlock, BandLinear


def estimate(model: BSRNN, spectrum: Tensor) -> Tensor:
    """Map `[B, 2, T, F]` to `[B, 2, T, F]`, as `BSRNN.estimate`."""
    frames, bins = spectrum.shape[2], model.stft.bins
    real, imaginary = model.preprocess(spectrum).unbind(1)
    magnitude = (real * real + imaginary * imaginary + 1e-8).sqrt()
    features = torch.stack([real, imaginary, magnitude]).permute(0, 3, 1, 2).reshape(3 * bins, -1)
    x = _into_bands(model.split, features, model.to_bands)
    for block in model.blocks:
        x = _block(block, x, model.split.bands, frames)  # type: ignore[arg-type]
    hidden = nn.functional.silu(model.mask_hidden(model.mask_norm(x)))
    mask = _out_of_bands(model.mask, hidden, model.to_bins).reshape(2, bins, -1, frames).permute(2, 0, 3, 1)
    return apply_mask(mask, spectrum)


def _into_bands(layer: BandLinear, features: Tensor, order: Tensor) -> Tensor:
    """Map rows of bins `[3·F, N]` to `[K, N, C]`; `order` sorts the rows into bands."""
    rows = nn.functional.pad(features, (0, 0, 0, 1))  # the last row is the zero of narrower bands
    padded = torch.cat([order, order.new_tensor([len(order)])])[layer.places]
    parted = rows[padded].reshape(layer.bands, layer.widest, -1)
    return torch.bmm(parted.transpose(1, 2), layer.padded()) + layer.bias[:, None]


def _out_of_bands(layer: BandLinear, x: Tensor, order: Tensor) -> Tensor:
    """Map `[K, N, C]` to rows of bins `[2·F, N]`; `order` sorts the rows of the bands."""
    parted = torch.bmm(layer.padded(), x.transpose(1, 2)).reshape(layer.bands * layer.widest, -1)
    return parted[layer.slots[order]] + layer.bias[order, None]


def _block(block: BandBlock, x: Tensor, bands: int, frames: int) -> Tensor:
    """Map `[K, N, C]` to the same shape, as `BandBlock.forward`."""
    channels, hidden = block.time.input_size, block.time_out.in_features
    by_frame = block.time_norm(x).reshape(bands, -1, frames, channels).permute(2, 1, 0, 3)
    sequences = _along_time(block.time, by_frame.reshape(frames, -1, channels), bands)
    by_band = sequences.reshape(frames, -1, bands, hidden).permute(2, 1, 0, 3)
    x = x + block.time_out(by_band.reshape(bands, -1, hidden))
    along_bands, _ = nn.GRU.forward(block.band, block.band_norm(x))
    y: Tensor = x + block.band_out(along_bands)
    return y


def _along_time(gru: nn.GRU, x: Tensor, bands: int) -> Tensor:
    """Map `[T, B·K, C]` to `[T, B·K, hidden]`; a unidirectional GRU continues from its state `[B, K, hidden]`."""
    if not isinstance(gru, UnidirectionalGRU):
        return nn.GRU.forward(gru, x)[0]
    shape = bands, gru.hidden_size
    before = gru.memory.recall(x.new_zeros(x.shape[1] // bands, *shape)).reshape(1, -1, gru.hidden_size)
    hidden, last = nn.GRU.forward(gru, x, before)
    gru.memory.keep(last.reshape(-1, *shape))
    return hidden
