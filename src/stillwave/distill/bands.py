"""The frequency stream: which bands of a layer resemble one another, frame by frame.

Both sides are pooled to the same K bands, and a row is one band at one frame, C numbers: Gram [B, T, K, K],
entry (b, t, k, k') = ⟨F_b:tk, F_b:tk'⟩ over channels. Cosines and silence as in `similarity.py`.

The bins of a layer share the range from 0 to half the sampling rate evenly (strided convolutions keep that),
and a band is the mean of what it covers of them. So band k means the same frequencies in layers of 64, 129
and 257 bins. Two scales of bands:

- `linear`: of equal width;
- `erb`: of equal width on the ERB-rate scale 21.4·log10(1 + 0.00437·f) (Glasberg & Moore 1990), but none
  narrower than a bin of the coarsest layer, within which there is nothing to tell apart: what the low bands
  take more than their share the high ones have less.
"""

from __future__ import annotations

import math
from typing import Literal

import torch
from torch import Tensor

from stillwave.distill.similarity import Similarity, inverse_norms
from stillwave.schema import SAMPLE_RATE

BandScale = Literal["linear", "erb"]


class Bands:
    """Pools feature maps [B, C, T, D ≥ coarsest] to `count` bands, and compares these."""

    def __init__(self, count: int, scale: BandScale, coarsest: int) -> None:
        self.edges = edges(count, scale, coarsest)
        self._matrices: dict[tuple[int, torch.dtype, torch.device], Tensor] = {}

    def pool(self, feature: Tensor) -> Tensor:
        """[B, C, T, D] → [B, C, T, bands]."""
        key = feature.shape[3], feature.dtype, feature.device
        if key not in self._matrices:
            self._matrices[key] = pooling(self.edges, key[0]).to(feature)
        return feature @ self._matrices[key]

    def similarity(self, feature: Tensor) -> Similarity:
        """Gram and cosine matrices [B, T, K, K]."""
        rows = self.pool(feature).permute(0, 2, 3, 1)  # [B, T, K, C]
        gram = rows @ rows.mT
        inverse = inverse_norms(gram.diagonal(dim1=2, dim2=3).flatten(1)).view(gram.shape[:3])
        return Similarity(gram, gram * inverse.unsqueeze(3) * inverse.unsqueeze(2))


def edges(count: int, scale: BandScale, coarsest: int) -> list[float]:
    """Where bands begin and end, count + 1 shares of half the sampling rate, from 0 to 1.

    Examples:
        >>> edges(4, "linear", 64)
        [0.0, 0.25, 0.5, 0.75, 1.0]
        >>> [round(8000 * edge) for edge in edges(4, "erb", 64)]
        [0, 332, 1143, 3132, 8000]
        >>> [round(8000 * edge) for edge in edges(6, "erb", 8)]
        [0, 1000, 2000, 3000, 4182, 5795, 8000]

    """
    if scale == "linear":
        return [band / count for band in range(count + 1)]
    found = [0.0]
    for left in range(count, 0, -1):
        here = found[-1]
        # An equal part of the rest of the scale: once a band is wider than a bin, all above it are.
        step = _hertz(_erb(here) + (_erb(1.0) - _erb(here)) / left) - here
        found.append(here + max(step, 1 / coarsest))
    return found


def pooling(at: list[float], bins: int) -> Tensor:
    """[bins, bands], float64: each column holds the parts of its band that lie in each bin, summing to 1."""
    bin_edges = torch.arange(bins + 1, dtype=torch.float64) / bins
    band_edges = torch.tensor(at, dtype=torch.float64)
    low = torch.maximum(bin_edges[:-1, None], band_edges[None, :-1])
    high = torch.minimum(bin_edges[1:, None], band_edges[None, 1:])
    shared = (high - low).clamp_min(0.0)
    return shared / shared.sum(0)


def profile(cosine: Tensor) -> Tensor:
    """Mean similarity of each band to the others, [B, T, K, K] → [B, T, K]: what a layer's bands look like.

    Unlike a whole matrix it grows with K alone; unlike an average over bands it knows where in frequency.
    """
    bands = cosine.shape[-1]
    own = cosine.diagonal(dim1=2, dim2=3)
    mean: Tensor = (cosine.sum(-1) - own) / (bands - 1)
    return mean


def _erb(share: float) -> float:
    return 21.4 * math.log10(1 + 0.00437 * share * SAMPLE_RATE / 2)


def _hertz(rate: float) -> float:
    """The inverse of `_erb`."""
    return (10 ** (rate / 21.4) - 1) / 0.00437 / (SAMPLE_RATE / 2)
