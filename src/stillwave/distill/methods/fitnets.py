"""FitNets: a regressor predicts a teacher layer from a student layer ("hints").

A. Romero et al., "FitNets: Hints for Thin Deep Nets", ICLR 2015, arXiv 1412.6550.

    L = mean_pairs mean_bctd (r(F^s) − F^t)² / σ_c²

r is a 1×1 convolution with bias from the student's to the teacher's channels, trained with the student and dropped at
export. The published programs add a norm and a ReLU, which cannot fit the signed features of networks with PReLU; they
have no σ and weight 100. `standardise: true` (this project) divides by the running variance σ_c² of each teacher
channel, so that loud channels do not dominate; σ² is at least 1e-6 of the mean over channels.

Layers: the last of the set `middle` (without such a set: of the set in the middle of the network); `layers: all` uses
all pairs. `schedule: two_step` is the paper's: hints alone for a fifth of the updates.

Any B and T; equal numbers of frames. D is averaged to the smaller. Invariant only to what r can undo: any linear mixing
of the student's channels.
"""

from __future__ import annotations

from torch import Tensor, nn

from stillwave.distill.method import BatchInputs, Method, ModelOutputs, Shapes, full_precision, register
from stillwave.distill.pairing import (
    LayerPair,
    bottleneck_pair,
    check_pairs,
    features,
    one_to_one,
    same_bins,
)
from stillwave.distill.running_statistics import RunningAverage, floored
from stillwave.schema.methods import FitnetsConfig

MIN_VARIANCE = 1e-6
"""−60 dB."""


@register("fitnets")
class FitNets(Method):
    """One loss for each layer pair."""

    Config = FitnetsConfig
    title = "prediction of a middle layer of the teacher (FitNets, ICLR 2015)"
    published_weight = 100.0
    first_step = 0.2

    def __init__(self, config: FitnetsConfig, pairs: list[LayerPair]) -> None:
        super().__init__()
        self.config = config
        self.pairs = pairs
        self.regressors = nn.ModuleDict(
            {pair.label: nn.Conv2d(pair.student.channels, pair.teacher.channels, 1) for pair in pairs}
        )
        self.variances = nn.ModuleDict(
            {pair.label: RunningAverage(pair.teacher.channels) for pair in pairs if config.standardise}
        )

    @classmethod
    def build(cls, config: FitnetsConfig, shapes: Shapes) -> FitNets:
        """Pair the layers. Raise DistillError if there is no pair, or frames differ."""
        pairs = one_to_one(shapes) if config.layers == "all" else [bottleneck_pair(shapes, "middle")]
        check_pairs(pairs, "fitnets")
        return cls(config, pairs)

    def losses(self, student: ModelOutputs, teacher: ModelOutputs, inputs: BatchInputs) -> dict[str, Tensor]:
        """Return the losses by layer pair."""
        maps = features(self.pairs, student, teacher)
        with full_precision(student.features[self.pairs[0].set][0].device):
            return {
                pair.label: self._distance(pair.label, *same_bins(*both)) / len(self.pairs)
                for pair, both in zip(self.pairs, maps, strict=True)
            }

    def _distance(self, label: str, student: Tensor, teacher: Tensor) -> Tensor:
        error: Tensor = (self.regressors[label](student) - teacher).square().mean((0, 2, 3))
        if self.config.standardise:
            variance = self.variances[label](teacher.var((0, 2, 3), correction=0))
            error = error / floored(variance, MIN_VARIANCE)
        return error.mean()
