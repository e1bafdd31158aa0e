"""RKD: distances and angles between embeddings.

W. Park, D. Kim, Y. Lu, M. Cho, "Relational Knowledge Distillation", CVPR 2019, arXiv 1904.05068.

    δ_ab = ‖e_a − e_b‖     ψ = δ / (mean of the δ > 0)     L_D = mean_ab hub(ψ^s − ψ^t)
    u_ab = (e_b − e_a) / ‖e_b − e_a‖     A_abc = ⟨u_ab, u_ac⟩     L_A = mean_abc hub(A^s − A^t)
    L = `distance` · L_D + `angle` · L_A        hub(x) = x²/2 where |x| < 1, else |x| − 1/2

The embedding is a choice of this project:

- `relation: examples` (`rkd`): the feature map of an example averaged over T, D averaged to `bands`. Requires batches
  of at least 3 examples.
- `relation: frames` (`rkd-frames`): the frames of one example, [C·D] each, at most `frames` at evenly spaced indices,
  equal in both networks and shifted at each batch; averaged over examples. Works for a batch of one.

Layers: those nearest to the bottleneck (last of the encoder, last of the middle, first of the decoder), averaged.
With fewer than 3 embeddings the losses are 0, counted in `skipped`. Embeddings closer than 1e-5 of the largest
distance count as equal: distance 0, no direction, no gradient.

Angles are computed from Gram matrices, ⟨e_b − e_a, e_c − e_a⟩ = G_bc − G_ab − G_ac + G_aa, in double precision since
the differences cancel, without a tensor of all differences. Any C and D. Invariant to sign, rotation and level.
"""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor
from torch.nn import functional as F  # noqa: N812

from stillwave.distill.grams import even_indices, zero_loss
from stillwave.distill.method import BatchInputs, Method, ModelOutputs, Shapes, full_precision, register
from stillwave.distill.pairing import (
    LayerPair,
    bottleneck_pairs,
    check_pairs,
    features,
    one_to_one,
    pool_bins,
)
from stillwave.distill.similarity import SILENCE
from stillwave.schema.methods import RkdConfig

MIN_COUNT = 3


class Relations(NamedTuple):
    """Relations in sets of n embeddings: ψ [sets, n, n], and cosines of angles [sets, n, n, n], vertex first."""

    distances: Tensor
    angles: Tensor


@register("rkd")
class Relational(Method):
    """Losses `distance` and `angle`, weighted; a weight of 0 leaves one out."""

    Config = RkdConfig
    title = "distances and angles between examples, or between frames (RKD, CVPR 2019)"
    published_weight = 1.0
    skipped: Tensor
    draw: Tensor

    def __init__(self, config: RkdConfig, pairs: list[LayerPair]) -> None:
        super().__init__()
        self.config = config
        self.pairs = pairs
        self.weights = {name: w for name in ("distance", "angle") if (w := getattr(config, name)) > 0}
        self.register_buffer("skipped", torch.zeros((), dtype=torch.int64))
        self.register_buffer("draw", torch.zeros((), dtype=torch.int64))

    @classmethod
    def build(cls, config: RkdConfig, shapes: Shapes) -> Relational:
        """Pair the layers. Raise DistillError if there is no pair, or, for frames, their numbers differ."""
        pairs = bottleneck_pairs(one_to_one(shapes))
        if config.relation == "frames":
            check_pairs(pairs, "rkd of frames")
        return cls(config, pairs)

    def losses(self, student: ModelOutputs, teacher: ModelOutputs, inputs: BatchInputs) -> dict[str, Tensor]:
        """Return both losses, for any B and T."""
        maps = list(features(self.pairs, student, teacher))
        first = maps[0][0]
        if first.shape[0 if self.config.relation == "examples" else 2] < MIN_COUNT:
            self.skipped += 1
            return {
                name: torch.stack([zero_loss(student_maps) for student_maps, _ in maps]).sum()
                for name in self.weights
            }
        with full_precision(first.device):
            found = [self._compare(student_maps, teacher_maps) for student_maps, teacher_maps in maps]
        if self.training:
            self.draw += 1
        return {
            name: weight * torch.stack([each[name] for each in found]).mean()
            for name, weight in self.weights.items()
        }

    def _compare(self, student: Tensor, teacher: Tensor) -> dict[str, Tensor]:
        student_maps, teacher_maps = (relations(self._embeddings(feature)) for feature in (student, teacher))
        both = {
            "distance": (student_maps.distances, teacher_maps.distances),
            "angle": (student_maps.angles, teacher_maps.angles),
        }
        return {name: F.smooth_l1_loss(*both[name]) for name in self.weights}

    def _embeddings(self, feature: Tensor) -> Tensor:
        """Map [B, C, T, D] to [sets, n, numbers]: one set of B examples, or B sets of frames."""
        if self.config.relation == "examples":
            pooled = pool_bins(feature.mean(2, keepdim=True), min(self.config.bands, feature.shape[3]))
            return pooled.flatten(1).unsqueeze(0)
        kept = even_indices(feature.shape[2], self.config.frames, self.draw)
        rows = feature.transpose(1, 2).flatten(2)
        return rows if kept is None else rows.index_select(1, kept)


def relations(embeddings: Tensor) -> Relations:
    """Return the relations of embeddings [sets, n, numbers], in their precision."""
    wide = embeddings.double()
    wide = wide - wide.mean(1, keepdim=True)
    gram = wide @ wide.mT
    own = gram.diagonal(dim1=1, dim2=2)
    squares = own.unsqueeze(2) + own.unsqueeze(1) - 2 * gram
    apart = squares.detach()
    same = apart <= SILENCE**2 * apart.amax((1, 2), keepdim=True)
    distances = squares.masked_fill(same, 1.0).sqrt()
    inverse = distances.reciprocal().masked_fill(same, 0.0)
    distances = distances.masked_fill(same, 0.0)
    mean = distances.sum((1, 2), keepdim=True) / (~same).sum((1, 2), keepdim=True).clamp_min(1)
    relative = distances / mean.masked_fill(mean == 0, 1.0)
    # [sets, a, b, c]: ⟨e_b − e_a, e_c − e_a⟩
    products = gram.unsqueeze(1) - gram.unsqueeze(3) - gram.unsqueeze(2) + own[:, :, None, None]
    cosines = products * inverse.unsqueeze(3) * inverse.unsqueeze(2)
    return Relations(relative.to(embeddings.dtype), cosines.to(embeddings.dtype))
