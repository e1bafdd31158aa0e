"""The frequency stream: similarities between the frequency bands of a layer, frame by frame.

Both networks are pooled to the same K bands. A row is one band at one frame, a vector of C numbers: Gram [B, T, K, K],
entry (b, t, k, k') = ⟨F_b:tk, F_b:tk'⟩ over channels. Cosines and silence are as in `similarity.py`.

The bins of a layer divide the range from 0 to half the sampling rate evenly (strided convolutions preserve this), and a
band is the mean of the bins that it covers. So band k covers the same frequencies in layers of 64, 129 and 257 bins.
Two scales of bands:

- `linear`: equal width in Hz;
- `erb`: equal width on the ERB-rate scale 21.4·log10(1 + 0.00437·f) (Glasberg & Moore 1990), but at least one bin of
  the coarsest layer; the higher bands become narrower accordingly.
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
    """Pools feature maps to frequency bands and compares the bands.

    `coarsest`: number of bins of the layer with the fewest bins.
    """

    def __init__(self, count: int, scale: BandScale, coarsest: int) -> None:
        self.edges = edges(count, scale, coarsest)
        self._matrices: dict[tuple[int, torch.dtype, torch.device], Tensor] = {}

    def pool(self, feature: Tensor) -> Tensor:
        """Pool [B, C, T, D] to [B, C, T, bands]."""
        key = feature.shape[3], feature.dtype, feature.device
        if key not in self._matrices:
            self._matrices[key] = pooling(self.edges, key[0]).to(feature)
        return feature @ self._matrices[key]

    def similarity(self, feature: Tensor) -> Similarity:
        """Return Gram and cosine matrices [B, T, K, K]."""
        rows = self.pool(feature).permute(0, 2, 3, 1)  # [B, T, K, C]
        gram = rows @ rows.mT
        inverse = inverse_norms(gram.diagonal(dim1=2, dim2=3).flatten(1)).view(gram.shape[:3])
        return Similarity(gram, gram * inverse.unsqueeze(3) * inverse.unsqueeze(2))


def edges(count: int, scale: BandScale, coarsest: int) -> list[float]:
    """Return the count + 1 edges of the bands, as fractions of half the sampling rate.

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
    for remaining in range(count, 0, -1):
        low = found[-1]
        # An equal part of the remaining scale; once a band is wider than a bin, all higher ones are.
        step = _hertz(_erb(low) + (_erb(1.0) - _erb(low)) / remaining) - low
        found.append(low + max(step, 1 / coarsest))
    return found


def pooling(at: list[float], bins: int) -> Tensor:
    """Return the pooling matrix [bins, bands], float64: the share of each bin in each band; columns sum to 1."""
    bin_edges = torch.arange(bins + 1, dtype=torch.float64) / bins
    band_edges = torch.tensor(at, dtype=torch.float64)
    low = torch.maximum(bin_edges[:-1, None], band_edges[None, :-1])
    high = torch.minimum(bin_edges[1:, None], band_edges[None, 1:])
    shared = (high - low).clamp_min(0.0)
    return shared / shared.sum(0)


def profile(cosine: Tensor) -> Tensor:
    """Return the mean similarity of each band to the other bands, [B, T, K, K] → [B, T, K]."""
    bands = cosine.shape[-1]
    own = cosine.diagonal(dim1=2, dim2=3)
    mean: Tensor = (cosine.sum(-1) - own) / (bands - 1)
    return mean


def _erb(share: float) -> float:
    return 21.4 * math.log10(1 + 0.00437 * share * SAMPLE_RATE / 2)


def _hertz(rate: float) -> float:
    """Inverse of `_erb`."""
    return (10 ** (rate / 21.4) - 1) / 0.00437 / (SAMPLE_RATE / 2)
