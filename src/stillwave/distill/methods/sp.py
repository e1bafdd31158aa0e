"""SP: similarity-preserving distillation.

F. Tung, G. Mori, "Similarity-Preserving Knowledge Distillation", ICCV 2019, arXiv 1907.09682.

    V [B, C·T·D]: each example's feature map flattened     G = V Vᵀ     G~: G with rows of unit L2 norm
    L = Σ_layers 1/B² ‖G~^t − G~^s‖²_F

`centre: true` (ours) subtracts the batch's mean from V first: the Gram matrix of features that are all positive is
nearly of rank one, and teaches little.

Layers, our choice for networks with sets: those nearest to the bottleneck (the encoder's last, the middle's
last, the decoder's first). The published programs take the last spatial feature only.

Any C, T and D on either side. A batch of one has nothing to compare: its loss is 0, and `skipped` counts it.
Blind to sign, to the level of an example's features and to rotations; and since frame k of one example meets
frame k of another, it sees noise type and level rather than speech.
"""

from __future__ import annotations

import torch
from torch import Tensor

from stillwave.distill.grams import gram_distance, zero_loss
from stillwave.distill.method import BatchInputs, Method, ModelOutputs, Shapes, full_precision, register
from stillwave.distill.pairing import LayerPair, features, one_to_one
from stillwave.distill.regressors import bottleneck_pairs
from stillwave.schema.methods import SpConfig


@register("sp")
class SimilarityPreserving(Method):
    """One loss for each layer, named after it."""

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
        """Raises `DistillError` if no layers can be paired."""
        return cls(config, bottleneck_pairs(one_to_one(shapes)))

    def losses(self, student: ModelOutputs, teacher: ModelOutputs, given: BatchInputs) -> dict[str, Tensor]:
        """See the file's head. Any B and T."""
        maps = list(features(self.pairs, student, teacher))
        if maps[0][0].shape[0] < 2:
            self.skipped += 1
            return {pair.label: zero_loss(ours) for pair, (ours, _) in zip(self.pairs, maps, strict=True)}
        with full_precision(maps[0][0].device):
            return {
                pair.label: gram_distance(self._centred(ours), self._centred(theirs), "b")
                for pair, (ours, theirs) in zip(self.pairs, maps, strict=True)
            }

    def _centred(self, feature: Tensor) -> Tensor:
        return feature - feature.mean(0) if self.config.centre else feature
