"""Row-normalised Gram matrices of feature maps, and normalisation that is safe for silence.

A feature map F [B, C, T, D] is read as matrices of rows, whose inner products are the Gram matrices. The *kind* names
the axes of the matrices, the axis of the rows, and the axes of the inner product:

| kind  | matrices          | inner product over |
|-------|-------------------|--------------------|
| `b`   | one of B×B        | C, T, D            |
| `bt`  | T of B×B          | C, D               |
| `bf`  | D of B×B          | C, T               |
| `btf` | T·D of B×B        | C                  |
| `st`  | B·D of T×T        | C                  |
| `sf`  | B·T of D×D        | C                  |

All kinds sum over the channels: student and teacher may differ in C, and no kind depends on the sign or a rotation of
the channels.

Silence: a row whose norm is at most 1e-5 of the largest of its example is excluded: its inner products are 0 and carry
no gradient.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor
from torch.nn import functional as F  # noqa: N812

from stillwave.distill.similarity import SILENCE
from stillwave.schema.methods import Gram

TINY = 1e-30
"""A vector without a larger entry counts as silent; dividing by it would overflow in the gradient."""

_ROWS: dict[Gram, tuple[tuple[int, ...], int]] = {
    "b": ((0, 1, 2, 3), 1),
    "bt": ((2, 0, 1, 3), 2),
    "bf": ((3, 0, 1, 2), 2),
    "btf": ((2, 3, 0, 1), 3),
    "st": ((0, 3, 2, 1), 3),
    "sf": ((0, 2, 3, 1), 3),
}
"""For each kind: the order of the axes, and the first axis of the inner product."""

ALIGNS_FRAMES: tuple[Gram, ...] = ("bt", "btf", "st", "sf")
"""Kinds that require the same number of frames in both networks."""
ALIGNS_BINS: tuple[Gram, ...] = ("bf", "btf", "st", "sf")
"""Kinds that require the same number of bins in both networks."""


def normalised_gram(feature: Tensor, kind: Gram) -> Tensor:
    """Return the Gram matrices of [B, C, T, D] with rows of unit L2 norm: [matrices…, n, n]."""
    order, first = _ROWS[kind]
    rows = feature.permute(order).flatten(first)
    gram = rows @ rows.mT
    silent = silence_mask(
        gram.detach().diagonal(dim1=-2, dim2=-1), SILENCE**2, 0 if kind in ("st", "sf") else -1
    )
    return unit(gram.masked_fill(silent.unsqueeze(-1) | silent.unsqueeze(-2), 0.0))


def gram_distance(student: Tensor, teacher: Tensor, kind: Gram) -> Tensor:
    """Return the mean squared difference of the row-normalised Gram matrices, over all entries."""
    return F.mse_loss(normalised_gram(student, kind), normalised_gram(teacher, kind))


def unit(vectors: Tensor) -> Tensor:
    """Divide vectors [..., n] by their L2 norm; silent vectors (see `TINY`) become 0 without gradient.

    They are first divided by their largest entry, a constant that cancels, so that the root neither overflows nor has
    an infinite derivative.
    """
    peak = vectors.detach().abs().amax(-1, keepdim=True)
    silent = peak <= TINY  # false for NaN, so that it propagates to the loss
    scaled = vectors / peak.masked_fill(silent, 1.0)
    norm = scaled.square().sum(-1, keepdim=True).masked_fill(silent, 1.0).sqrt()
    return (scaled / norm).masked_fill(silent, 0.0)


def silence_mask(levels: Tensor, floor: float, example: int) -> Tensor:
    """Return which levels are at most `floor` times the largest of their example (axis `example`)."""
    axes = [axis for axis in range(levels.ndim) if axis != example % levels.ndim]
    peak = levels.amax(axes, keepdim=True) if axes else levels
    return levels <= floor * peak


def even_indices(total: int, limit: int, step: Tensor) -> Tensor | None:
    """Return evenly spaced indices, shifted at each step; None if all are used.

    They are deterministic: equal in all processes and in a resumed run.

    Args:
        total: Number of positions.
        limit: Largest number of indices.
        step: Integer tensor, increased by 1 at each call.

    """
    if total <= limit:
        return None
    shift = round(0.618 * total)
    while math.gcd(shift, total) > 1:  # so that all positions are used
        shift += 1
    return (torch.arange(limit, device=step.device) * total + step * shift % total) // limit


def zero_loss(feature: Tensor) -> Tensor:
    """Return 0 connected to the graph of `feature`, for a batch that is too small to compare."""
    return feature.flatten()[:1].sum() * 0.0
