"""Two-step distillation: similarity-preserving pre-training inside the features, then the task alone.

R. Daod Nathoo, M. Kegler, M. Stamenovic, "Two-Step Knowledge Distillation for Tiny Speech Enhancement", ICASSP
2024, arXiv 2309.08144. Step one trains on L_KD alone, step two on the enhancement loss alone, without the teacher
(the trainer's schedule; see `schedule.py`). There is no weight to mix them.

    L_KD = Σ_kinds mean_pairs mean over all entries of (G~^t − G~^s)²

with row-normalised Gram matrices G~ *inside* the activations, of the kinds that `grams.py` lists.

Reconstructed (two-step-*style*): the source's abstract fixes the steps, not the axes of its matrices. `st` + `sf`
(frames with frames, bins with bins, of one example) is the literal reading of "intra-activation" and needs no batch;
`btf` (examples, at each frame and bin) is the other plausible one; `b` is SP, `bt` the loss of CLSKD. The share of
updates of step one is unknown too: a quarter here.

Memory: `st` compares at most `most_bins` bins and `sf` at most `most_frames` frames at a time, evenly spaced,
others at each batch. Any B and T; the b-kinds are 0 for a batch of one, which `skipped` counts. Any C; D is
averaged to the smaller of a pair. Blind to sign and rotation, which step two puts right; and after step one the
output, if no layer of it was compared, has learnt nothing yet.
"""

from __future__ import annotations

import torch
from torch import Tensor

from stillwave.distill.grams import ALIGNS_BINS, ALIGNS_FRAMES, even_indices, gram_distance, zero_loss
from stillwave.distill.method import BatchInputs, Method, ModelOutputs, Shapes, full_precision, register
from stillwave.distill.pairing import LayerPair, check_frames, features, one_to_one, same_bins
from stillwave.schema.methods import Gram, TwoStepConfig


@register("two_step")
class TwoStep(Method):
    """One loss for each kind of Gram matrix, named after it."""

    Config = TwoStepConfig
    title = "two-step-style: similarities inside features first, then the task alone (ICASSP 2024)"
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
        """Raises `DistillError` if no layers can be paired, or their frames differ and a kind aligns them."""
        pairs = one_to_one(shapes)
        aligning = [kind for kind in config.grams if kind in ALIGNS_FRAMES]
        if aligning:
            check_frames(pairs, f"two_step with {', '.join(aligning)}")
        return cls(config, pairs)

    def losses(self, student: ModelOutputs, teacher: ModelOutputs, given: BatchInputs) -> dict[str, Tensor]:
        """See the file's head."""
        maps = list(features(self.pairs, student, teacher))
        alone = maps[0][0].shape[0] < 2
        if alone and any(kind.startswith("b") for kind in self.config.grams):
            self.skipped += 1
        with full_precision(maps[0][0].device):
            found: dict[str, Tensor] = {
                kind: torch.stack(
                    [
                        zero_loss(ours)
                        if alone and kind.startswith("b")
                        else self._distance(ours, theirs, kind)
                        for ours, theirs in maps
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
