"""Similarities of the rows of feature maps, and the distance between two sets of them.

A feature map F [B, C, T, D] is read as one row of C·D numbers for each example and frame, M [B, T, CD]. Two
*streams* compare rows (the third, `frequency`, has rows of its own: `bands.py`):

- `time`:  the frames of one example,      Gram [B, T, T], entry (b, t, t') = ⟨M_bt, M_bt'⟩;
- `batch`: the examples at one frame,      Gram [B, T, B], entry (b, t, b') = ⟨M_bt, M_b't⟩.

Both are laid out as one row of similarities for each example and frame, so everything after this file treats
them alike. Rows are compared by inner products over C·D, so student and teacher need not agree in C or D, and
**every similarity here is blind to F → −F** (and to any rotation of the C·D axis): polarity must be fixed by
the enhancement loss.

Silence: a row whose norm is at most 1e-5 of its example's largest is *excluded*: all its cosines, the one
with itself too, are 0 and carry no gradient. Nearly opposite rows: S = (cos + 1)/2 is clamped to [1e-6, 1]
before it is normalised, so that no logarithm sees 0.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

import torch
from torch import Tensor

from stillwave.distill.method import full_backward

Stream = Literal["time", "batch", "frequency"]
STREAMS: tuple[Stream, ...] = ("time", "batch", "frequency")
OF_FRAMES: tuple[Stream, ...] = ("time", "batch")
"""Those whose rows are whole frames."""

NORM_EPSILON = 1e-6
SILENCE = 1e-5
SMALLEST = 1e-6


@dataclass(frozen=True)
class Similarity:
    """One stream of one layer: inner products and cosines.

    Both [B, T, T] (time), [B, T, B] (batch) or, one matrix a frame, [B, T, bands, bands] (frequency).
    """

    gram: Tensor
    cosine: Tensor


def similarities(feature: Tensor, streams: Sequence[Stream] = OF_FRAMES) -> dict[Stream, Similarity]:
    """Gram and cosine matrices of a feature map [B, C, T, D], one matrix product for each stream of frames."""
    time, batch = "time" in streams, "batch" in streams
    if not (time or batch):
        return {}
    outputs = iter(_Grams.apply(feature, time, batch))  # type: ignore[no-untyped-call]
    grams: dict[Stream, Tensor] = {stream: next(outputs) for stream in OF_FRAMES if stream in streams}
    inverse = inverse_norms(_squares(grams))
    # Row t of example b meets the rows of the same example (time) or those of the same frame (batch).
    others: dict[Stream, Tensor] = {"time": inverse.unsqueeze(1), "batch": inverse.mT.unsqueeze(0)}
    return {
        stream: Similarity(gram, gram * inverse.unsqueeze(2) * others[stream])
        for stream, gram in grams.items()
    }


def distribution(cosine: Tensor) -> Tensor:
    """P: similarities S = (cos + 1)/2 of each row, scaled to sum to 1."""
    s = ((cosine + 1) / 2).clamp(SMALLEST, 1.0)
    return s / s.sum(-1, keepdim=True)


def jeffreys(
    student: Sequence[Tensor], teacher: Sequence[Tensor], pairs: Sequence[tuple[int, int]]
) -> Tensor:
    """Symmetric KL divergence Σ (p − q)(log p − log q) of each row, for each pair (student i, teacher j).

    Args:
        student: distributions [..., K], one a layer; they get the gradient.
        teacher: the same; constants.
        pairs: indices into both.

    Returns:
        [..., pairs], ≥ 0, and exactly 0 with zero gradient where the two are equal.

    """
    constants = [p.detach() for p in teacher]
    distances: Tensor = _Jeffreys.apply(  # type: ignore[no-untyped-call]
        tuple(pairs), len(student), *student, *constants
    )
    return distances


def _squares(grams: dict[Stream, Tensor]) -> Tensor:
    """Squared norm of each row [B, T], from the diagonal of whichever Gram matrix there is."""
    if "time" in grams:
        return grams["time"].diagonal(dim1=1, dim2=2)
    return grams["batch"].diagonal(dim1=0, dim2=2).mT


def inverse_norms(squares: Tensor) -> Tensor:
    """1/norm of each row from its square [B, rows]; 0, without gradient, for the silent rows of an example."""
    # Written as "≤" so that NaN is not taken for silence: a broken feature must show in the loss.
    silent = squares <= SILENCE**2 * squares.amax(1, keepdim=True)
    # The root is taken of 1 where silent: its derivative at 0 is infinite, and infinity times 0 is NaN.
    norms = squares.masked_fill(silent, 1.0).sqrt() + NORM_EPSILON
    return norms.reciprocal().masked_fill(silent, 0.0)


def _channels_last(feature: Tensor) -> bool:
    return feature.permute(0, 2, 3, 1).is_contiguous()


def _rows(feature: Tensor) -> Tensor:
    """[B, T, C·D] or [B, T, D·C], whichever needs no copy: inner products do not see the order."""
    if _channels_last(feature):
        return feature.permute(0, 2, 3, 1).flatten(2)
    return feature.transpose(1, 2).flatten(2)


def _unrows(rows: Tensor, feature: Tensor) -> Tensor:
    """The inverse of `_rows`, as a view."""
    B, C, T, D = feature.shape
    if _channels_last(feature):
        return rows.view(B, T, D, C).permute(0, 3, 1, 2)
    return rows.view(B, T, C, D).transpose(1, 2)


class _Grams(torch.autograd.Function):
    """Both Gram matrices from one copy of the rows, which is made anew in `backward` rather than kept.

    G = M Mᵀ gives dM = (dG + dGᵀ) M.
    """

    @staticmethod
    def forward(ctx: Any, feature: Tensor, time: bool, batch: bool) -> tuple[Tensor, ...]:
        ctx.save_for_backward(feature)
        ctx.time, ctx.batch = time, batch
        ctx.set_materialize_grads(False)
        rows = _rows(feature)
        grams = []
        if time:
            grams.append(rows @ rows.mT)
        if batch:
            across = rows.transpose(0, 1)  # [T, B, CD]
            grams.append((across @ across.mT).transpose(0, 1).contiguous())
        return tuple(grams)

    @staticmethod
    @full_backward
    def backward(ctx: Any, *gradients: Tensor | None) -> tuple[Tensor | None, None, None]:
        (feature,) = ctx.saved_tensors
        left = iter(gradients)
        time = next(left) if ctx.time else None
        batch = next(left) if ctx.batch else None
        if time is None and batch is None:
            return None, None, None
        rows = _rows(feature)
        total = torch.zeros_like(rows) if time is None else (time + time.mT) @ rows
        if batch is not None:
            across = batch.transpose(0, 1)
            total += ((across + across.mT) @ rows.transpose(0, 1)).transpose(0, 1)
        return _unrows(total, feature), None, None


class _Jeffreys(torch.autograd.Function):
    """Distances of all pairs without keeping any pairwise product: they are made anew in `backward`.

    d/dq Σ (p − q)(log p − log q) = (log q − log p) + (1 − p/q); both brackets are exactly 0 at p = q.
    """

    @staticmethod
    def forward(ctx: Any, pairs: tuple[tuple[int, int], ...], n: int, *distributions: Tensor) -> Tensor:
        ctx.save_for_backward(*distributions)
        ctx.pairs, ctx.n = pairs, n
        logs = [d.log() for d in distributions]
        columns = []
        for i, j in pairs:
            difference = distributions[n + j] - distributions[i]
            columns.append((difference.mul_(logs[n + j] - logs[i])).sum(-1))
        return torch.stack(columns, -1)

    @staticmethod
    @full_backward
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor | None, ...]:
        n, distributions = ctx.n, ctx.saved_tensors
        logs = [d.log() for d in distributions]
        totals: list[Tensor | None] = [None] * n
        for index, (i, j) in enumerate(ctx.pairs):
            slope = (logs[i] - logs[n + j]).sub_(distributions[n + j] / distributions[i]).add_(1.0)
            slope.mul_(gradient[..., index, None])
            so_far = totals[i]
            totals[i] = slope if so_far is None else so_far.add_(slope)
        return (None, None, *totals, *(None for _ in range(len(distributions) - n)))
