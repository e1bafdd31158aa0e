"""A prior for the calibration weights α, so that they do not settle on the nearest teacher layer (this project).

The published loss of a student layer at one row is Σ_j α_j d_j, with a distance d_j to each teacher layer and weights α
that are trained to minimise it. Its minimum over all α is at a corner: weight 1 for the layer that is nearest already,
which has least to teach. With a prior π, the loss becomes

    Σ_j α_j d_j + τ · d̄ · KL(α ‖ π),        KL(α ‖ π) = Σ_j α_j log(α_j / π_j),

where d̄ is the mean distance, a constant for the gradient, so that τ has no unit. Its minimum is

    α_j ∝ π_j exp(−d_j / (τ d̄)),

so that no weight falls below π_j exp(−(max d − min d) / (τ d̄)). τ = 0 gives the published loss, τ → ∞ gives α = π.

`uniform` is π_j = 1/m. `clean` rewards the layers that know the target: π_j ∝ exp(κ c_j), where c_j is the correlation
of the row's similarities in teacher layer j with those of the clean reference, whose feature map is its magnitude
spectrum to the power 0.3. Layers whose frames are alike where the clean frames are alike get more weight. The entry of
a row with itself is left out. c_j is 0 where it is undefined (fewer than two others, or all of them equal), and in the
frequency stream.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import torch
from torch import Tensor
from torch.nn import functional as F  # noqa: N812

from stillwave.distill.similarity import Stream, similarities
from stillwave.stft import Stft

COMPRESSION = 0.3
_FLAT = 1e-12
"""Variance of a row below which it counts as constant."""


def clean_cosines(clean: Tensor, frames: int) -> dict[Stream, Tensor]:
    """Return the cosines of the clean reference [B, N] between `frames` frames, and between examples, by stream.

    The mean over batch and frames is subtracted first; magnitudes have one sign, so their cosines are all near 1.
    """
    with torch.no_grad():
        magnitude = Stft().to(clean.device).analyse(clean.float()).abs() ** COMPRESSION  # [B, T, F]
        pooled = F.adaptive_avg_pool1d(magnitude.mT, frames).mT.unsqueeze(1)
        found = similarities(pooled - pooled.mean((0, 2), keepdim=True))
    return {stream: similarity.cosine for stream, similarity in found.items()}


def log_prior(
    stream: Stream, teacher: Sequence[Tensor], clean: Mapping[Stream, Tensor], scale: float
) -> Tensor:
    """Return log π of one stream, [B, T, m], from the cosines of the m teacher layers and of the clean reference.

    Uniform if `clean` does not contain the stream. No gradient.
    """
    if stream not in clean:
        return teacher[0].new_zeros(*teacher[0].shape[:2], len(teacher)).log_softmax(-1)
    with torch.no_grad():
        others = _others(stream, teacher[0])
        found = [correlation(cosine, clean[stream].to(cosine), others) for cosine in teacher]
        return (scale * torch.stack(found, -1)).log_softmax(-1)


def correlation(one: Tensor, other: Tensor, counted: Tensor) -> Tensor:
    """Return the correlation of the rows of two tensors [..., K] over the entries where `counted` is 1; else 0."""
    number = counted.sum(-1, keepdim=True).clamp(min=1)

    def centred(rows: Tensor) -> Tensor:
        return (rows - (rows * counted).sum(-1, keepdim=True) / number) * counted

    x, y = centred(one), centred(other)
    variances = x.square().sum(-1) / number[..., 0], y.square().sum(-1) / number[..., 0]
    constant = (variances[0] < _FLAT) | (variances[1] < _FLAT)
    product = (x * y).sum(-1) / number[..., 0]
    return (product / (variances[0] * variances[1]).masked_fill(constant, 1.0).sqrt()).masked_fill(
        constant, 0.0
    )


def _others(stream: Stream, cosine: Tensor) -> Tensor:
    """Return 1 for entries of a row with other rows and 0 for the one with itself, as [1 or B, T or 1, K]."""
    own = torch.eye(cosine.shape[-1], dtype=cosine.dtype, device=cosine.device)
    return 1 - (own.unsqueeze(0) if stream == "time" else own.unsqueeze(1))


def divergence(alpha: Tensor, log_pi: Tensor) -> Tensor:
    """Return KL(α ‖ π) of each student layer at each row, [B, T, n], for α [B, T, n, m] and log π [B, T, m]."""
    return (alpha * (alpha.log() - log_pi.unsqueeze(2))).sum(-1)
