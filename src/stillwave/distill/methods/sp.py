"""SP: similarities between the examples of a batch.

F. Tung, G. Mori, "Similarity-Preserving Knowledge Distillation", ICCV 2019, arXiv 1907.09682.

    V [B, C·T·D]: the feature map of each example, flattened     G = V Vᵀ     G~: G with rows of unit L2 norm
    L = Σ_layers 1/B² ‖G~^t − G~^s‖²_F

`centre: true` (this project) subtracts the batch mean from V first: the Gram matrix of positive features is nearly of
rank one and has small gradients.

Layers, chosen by this project: those nearest to the bottleneck (last of the encoder, last of the middle, first of the
decoder). The published programs use the last spatial feature only.

Any C, T and D. The loss of a batch of one example is 0, counted in `skipped`. Invariant to sign, rotation and the level
of an example's features; since frame k of one example is compared with frame k of another, it reflects noise type and
level more than speech.
"""

from __future__ import annotations

import torch
from torch import Tensor

from stillwave.distill.grams import gram_distance, zero_loss
from stillwave.distill.method import BatchInputs, Method, ModelOutputs, Shapes, full_precision, register
from stillwave.distill.pairing import LayerPair, bottleneck_pairs, features, one_to_one
from stillwave.schema.methods import SpConfig


@register("sp")
class SimilarityPreserving(Method):
    """One loss for each layer."""

    Config = SpConfig
    title = "similarities of the examples of a batch (SP, ICCV 2019)"
    published_weight = 3000.0
    skipped: Tensor

    def __init__(self, config: SpConfig, pairs: list[LayerPair]) -> None:
        super().__init__()
        self.config = config
        self.pairs = pairs
        self.register_buffer("skipped", torch.zeros((), dtype=torch.int64))

    @classmethod
    def build(cls, config: SpConfig, shapes: Shapes) -> SimilarityPreserving:
        """Pair the layers. Raise DistillError if there is no pair."""
        return cls(config, bottleneck_pairs(one_to_one(shapes)))

    def losses(self, student: ModelOutputs, teacher: ModelOutputs, inputs: BatchInputs) -> dict[str, Tensor]:
        """Return the losses by layer, for any B and T."""
        maps = list(features(self.pairs, student, teacher))
        if maps[0][0].shape[0] < 2:
            self.skipped += 1
            return {
                pair.label: zero_loss(student_maps)
                for pair, (student_maps, _) in zip(self.pairs, maps, strict=True)
            }
        with full_precision(maps[0][0].device):
            return {
                pair.label: gram_distance(self._centred(student_maps), self._centred(teacher_maps), "b")
                for pair, (student_maps, teacher_maps) in zip(self.pairs, maps, strict=True)
            }

    def _centred(self, feature: Tensor) -> Tensor:
        return feature - feature.mean(0) if self.config.centre else feature
