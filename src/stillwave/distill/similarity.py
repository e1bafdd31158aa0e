"""Similarities between the rows of feature maps, and the distance between two sets of similarities.

A feature map F [B, C, T, D] is read as M [B, T, C·D], one row for each example and frame. Two *streams* compare these
rows (for the third, `frequency`, see `bands.py`):

- `time`:  the frames of one example,      Gram [B, T, T], entry (b, t, t') = ⟨M_bt, M_bt'⟩;
- `batch`: the examples at one frame,      Gram [B, T, B], entry (b, t, b') = ⟨M_bt, M_b't⟩.

Both have one row of similarities for each example and frame, so all later steps treat them alike. Inner products sum
over C·D, so student and teacher may differ in C and D, and **all similarities are invariant to F → −F** (and to any
rotation of the C·D axis): the polarity must be determined by the enhancement loss.

Silence: a row whose norm is at most 1e-5 of the largest of its example is *excluded*: all its cosines, including the
one with itself, are 0 and carry no gradient. Nearly opposite rows: S = (cos + 1)/2 is clamped to [1e-6, 1] before it is
normalised, so that its logarithm is finite.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor

Stream = Literal["time", "batch", "frequency"]
STREAMS: tuple[Stream, ...] = ("time", "batch", "frequency")
OF_FRAMES: tuple[Stream, ...] = ("time", "batch")
"""Streams whose rows are whole frames."""

NORM_EPSILON = 1e-6
SILENCE = 1e-5
SMALLEST = 1e-6


@dataclass(frozen=True)
class Similarity:
    """Inner products and cosines of one stream of one layer.

    Both are [B, T, T] (time), [B, T, B] (batch) or [B, T, bands, bands] (frequency).
    """

    gram: Tensor
    cosine: Tensor


def similarities(feature: Tensor, streams: Sequence[Stream] = OF_FRAMES) -> dict[Stream, Similarity]:
    """Return Gram and cosine matrices of [B, C, T, D] for the `time` and `batch` streams requested."""
    if not set(streams) & set(OF_FRAMES):
        return {}
    rows = _rows(feature)
    grams: dict[Stream, Tensor] = {}
    if "time" in streams:
        grams["time"] = rows @ rows.mT
    if "batch" in streams:
        across = rows.transpose(0, 1)  # [T, B, CD]
        grams["batch"] = (across @ across.mT).transpose(0, 1).contiguous()
    inverse = inverse_norms(_squares(grams))
    # Row t of example b is compared with the rows of its example (time) or of its frame (batch).
    others: dict[Stream, Tensor] = {"time": inverse.unsqueeze(1), "batch": inverse.mT.unsqueeze(0)}
    return {
        stream: Similarity(gram, gram * inverse.unsqueeze(2) * others[stream])
        for stream, gram in grams.items()
    }


def distribution(cosine: Tensor, sharpness: float = 1.0) -> Tensor:
    """Return P: the similarities S = (cos + 1)/2 of each row to the power `sharpness`, normalised to sum to 1."""
    s = ((cosine + 1) / 2).clamp(SMALLEST, 1.0)
    if sharpness != 1:
        s = s**sharpness
    return s / s.sum(-1, keepdim=True)


def jeffreys(
    student: Sequence[Tensor], teacher: Sequence[Tensor], pairs: Sequence[tuple[int, int]]
) -> Tensor:
    """Return the symmetric KL divergence Σ (p − q)(log p − log q) of each row, for each pair (student i, teacher j).

    Args:
        student: Distributions [..., K], one for each layer.
        teacher: Distributions [..., K], one for each layer; detached.
        pairs: Indices into both.

    Returns:
        [..., pairs], ≥ 0; exactly 0 with zero gradient where the distributions are equal.

    """
    constants = [p.detach() for p in teacher]
    logs = [p.log() for p in student], [p.log() for p in constants]
    return torch.stack(
        [((constants[j] - student[i]) * (logs[1][j] - logs[0][i])).sum(-1) for i, j in pairs], -1
    )


def _squares(grams: dict[Stream, Tensor]) -> Tensor:
    """Return the squared norm of each row [B, T], from the diagonal of a Gram matrix."""
    if "time" in grams:
        return grams["time"].diagonal(dim1=1, dim2=2)
    return grams["batch"].diagonal(dim1=0, dim2=2).mT


def inverse_norms(squares: Tensor) -> Tensor:
    """Return 1/norm of each row from its square [B, rows]; 0, without gradient, for silent rows."""
    # NaN compares false, so that it is not treated as silence and propagates to the loss.
    silent = squares <= SILENCE**2 * squares.amax(1, keepdim=True)
    # The root of 1 replaces that of 0, whose derivative is infinite.
    norms = squares.masked_fill(silent, 1.0).sqrt() + NORM_EPSILON
    return norms.reciprocal().masked_fill(silent, 0.0)


def _rows(feature: Tensor) -> Tensor:
    """Return [B, T, C·D] or [B, T, D·C], whichever needs no copy; inner products do not depend on the order."""
    channels_last = feature.permute(0, 2, 3, 1)
    if channels_last.is_contiguous():
        return channels_last.flatten(2)
    return feature.transpose(1, 2).flatten(2)
