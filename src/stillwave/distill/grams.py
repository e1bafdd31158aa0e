"""Gram matrices inside feature maps, and vectors brought to unit norm without trouble in silence.

A feature map F [B, C, T, D] can be read as many rows, and rows compared with one another by inner products. The
*kind* says which axes number the matrices, which one numbers the rows, and which are summed over:

| kind  | matrices          | inner product over |
|-------|-------------------|--------------------|
| `b`   | one of B×B        | C, T, D            |
| `bt`  | T of B×B          | C, D               |
| `bf`  | D of B×B          | C, T               |
| `btf` | T·D of B×B        | C                  |
| `st`  | B·D of T×T        | C                  |
| `sf`  | B·T of D×D        | C                  |

Every kind sums over channels, so student and teacher may differ in C, and none sees a sign or a rotation of it.

Silence: a row whose norm is at most 1e-5 of its example's largest is *excluded*: its inner products are 0 and
carry no gradient.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor
from torch.nn import functional as F  # noqa: N812

from stillwave.distill.similarity import SILENCE
from stillwave.schema.methods import Gram

TINY = 1e-30
"""A vector without a larger entry is silent at any rate: dividing by it would overflow in the gradient."""

_ROWS: dict[Gram, tuple[tuple[int, ...], int]] = {
    "b": ((0, 1, 2, 3), 1),
    "bt": ((2, 0, 1, 3), 2),
    "bf": ((3, 0, 1, 2), 2),
    "btf": ((2, 3, 0, 1), 3),
    "st": ((0, 3, 2, 1), 3),
    "sf": ((0, 2, 3, 1), 3),
}
"""Of each kind: the order of the axes, and the first of those that an inner product sums over."""

ALIGNS_FRAMES: tuple[Gram, ...] = ("bt", "btf", "st", "sf")
"""Kinds whose matrices match only where both networks have the same frames."""
ALIGNS_BINS: tuple[Gram, ...] = ("bf", "btf", "st", "sf")
"""Kinds whose matrices match only where both networks have the same bins."""


def normalised_gram(feature: Tensor, kind: Gram) -> Tensor:
    """Gram matrices of a feature map [B, C, T, D], each row divided by its L2 norm: [matrices…, n, n]."""
    order, first = _ROWS[kind]
    rows = feature.permute(order).flatten(first)
    gram = rows @ rows.mT
    silent = silence_mask(
        gram.detach().diagonal(dim1=-2, dim2=-1), SILENCE**2, 0 if kind in ("st", "sf") else -1
    )
    return unit(gram.masked_fill(silent.unsqueeze(-1) | silent.unsqueeze(-2), 0.0))


def gram_distance(student: Tensor, teacher: Tensor, kind: Gram) -> Tensor:
    """Mean squared difference of the row-normalised Gram matrices, over all entries of all matrices."""
    return F.mse_loss(normalised_gram(student, kind), normalised_gram(teacher, kind))


def unit(vectors: Tensor) -> Tensor:
    """Vectors [..., n] divided by their L2 norm; silent ones (see `TINY`) are 0 and get no gradient.

    They are divided by their largest entry first, a constant that the norm cancels: so the root is taken of
    1 … n whatever the level, and neither overflows nor has an infinite derivative.
    """
    peak = vectors.detach().abs().amax(-1, keepdim=True)
    silent = peak <= TINY  # false for NaN, which must show in the loss
    scaled = vectors / peak.masked_fill(silent, 1.0)
    norm = scaled.square().sum(-1, keepdim=True).masked_fill(silent, 1.0).sqrt()
    return (scaled / norm).masked_fill(silent, 0.0)


def silence_mask(levels: Tensor, floor: float, example: int) -> Tensor:
    """Which `levels` are at most `floor` of the largest of their example, numbered by axis `example`."""
    axes = [axis for axis in range(levels.ndim) if axis != example % levels.ndim]
    peak = levels.amax(axes, keepdim=True) if axes else levels
    return levels <= floor * peak


def even_indices(total: int, most: int, draw: Tensor) -> Tensor | None:
    """At most `most` of `total` positions, evenly spaced, others at each `draw` (an integer); None: all.

    Nothing is random: every process finds the same, and so does a run that is resumed.
    """
    if total <= most:
        return None
    turn = round(0.618 * total)
    while math.gcd(turn, total) > 1:  # so that every position has its turn
        turn += 1
    return (torch.arange(most, device=draw.device) * total + draw * turn % total) // most


def zero_loss(feature: Tensor) -> Tensor:
    """0 that belongs to the graph of `feature`, for a batch too small to compare."""
    return feature.flatten()[:1].sum() * 0.0
