"""Two-step-style: similarity-preserving pre-training within the features, then the enhancement loss alone.

R. Daod Nathoo, M. Kegler, M. Stamenovic, "Two-Step Knowledge Distillation for Tiny Speech Enhancement", ICASSP
2024, arXiv 2309.08144. Step one trains on L_KD alone, step two on the enhancement loss alone, without the teacher (see
`schedule.py`). There is no mixing weight.

    L_KD = Σ_kinds mean_pairs mean over all entries of (G~^t − G~^s)²

with row-normalised Gram matrices G~ *within* the activations, of the kinds listed in `grams.py`.

Reconstructed: the abstract specifies the steps, not the axes of the matrices. `st` + `sf` (frames with frames, bins
with bins, of one example) is the literal reading of "intra-activation" and does not depend on the batch; `btf`
(examples, at each frame and bin) is the other plausible one; `b` is SP, `bt` the loss of CLSKD. The fraction of
updates of step one is unknown too: a quarter here.

Memory: `st` compares at most `most_bins` bins and `sf` at most `most_frames` frames, evenly spaced and shifted at each
batch. Any B and T; the b-kinds are 0 for a batch of one example, counted in `skipped`. Any C; D is averaged to the
smaller of a pair. Invariant to sign and rotation, which step two corrects; after step one the output layer is untrained
unless one of the compared layers depends on it.
"""

from __future__ import annotations

import torch
from torch import Tensor

from stillwave.distill.grams import ALIGNS_BINS, ALIGNS_FRAMES, even_indices, gram_distance, zero_loss
from stillwave.distill.method import BatchInputs, Method, ModelOutputs, Shapes, full_precision, register
from stillwave.distill.pairing import LayerPair, check_pairs, features, one_to_one, same_bins
from stillwave.schema.methods import Gram, TwoStepConfig


@register("two_step")
class TwoStep(Method):
    """One loss for each kind of Gram matrix."""

    Config = TwoStepConfig
    title = "two-step-style: similarities within features, then the enhancement loss alone (ICASSP 2024)"
    schedule = "two_step"
    first_step = 0.25
    skipped: Tensor
    draw: Tensor

    def __init__(self, config: TwoStepConfig, pairs: list[LayerPair]) -> None:
        super().__init__()
        self.config = config
        self.pairs = pairs
        self.register_buffer("skipped", torch.zeros((), dtype=torch.int64))
        self.register_buffer("draw", torch.zeros((), dtype=torch.int64))

    @classmethod
    def build(cls, config: TwoStepConfig, shapes: Shapes) -> TwoStep:
        """Pair the layers. Raise DistillError if there is no pair, or frames differ for kinds that align them."""
        pairs = one_to_one(shapes)
        aligning = [kind for kind in config.grams if kind in ALIGNS_FRAMES]
        if aligning:
            check_pairs(pairs, f"two_step with {', '.join(aligning)}")
        return cls(config, pairs)

    def losses(self, student: ModelOutputs, teacher: ModelOutputs, inputs: BatchInputs) -> dict[str, Tensor]:
        """Return the losses by kind."""
        maps = list(features(self.pairs, student, teacher))
        single = maps[0][0].shape[0] < 2
        if single and any(kind.startswith("b") for kind in self.config.grams):
            self.skipped += 1
        with full_precision(maps[0][0].device):
            found: dict[str, Tensor] = {
                kind: torch.stack(
                    [
                        zero_loss(student_maps)
                        if single and kind.startswith("b")
                        else self._distance(student_maps, teacher_maps, kind)
                        for student_maps, teacher_maps in maps
                    ]
                ).mean()
                for kind in dict.fromkeys(self.config.grams)
            }
        if self.training:
            self.draw += 1
        return found

    def _distance(self, student: Tensor, teacher: Tensor, kind: Gram) -> Tensor:
        if kind in ALIGNS_BINS:
            student, teacher = same_bins(student, teacher)
        if kind == "st":
            kept = even_indices(student.shape[3], self.config.most_bins, self.draw)
            student, teacher = _take(student, 3, kept), _take(teacher, 3, kept)
        if kind == "sf":
            kept = even_indices(student.shape[2], self.config.most_frames, self.draw)
            student, teacher = _take(student, 2, kept), _take(teacher, 2, kept)
        return gram_distance(student, teacher, kind)


def _take(feature: Tensor, axis: int, kept: Tensor | None) -> Tensor:
    return feature if kept is None else feature.index_select(axis, kept)
