"""FitNets: hints, a student layer that must predict a teacher layer.

A. Romero et al., "FitNets: Hints for Thin Deep Nets", ICLR 2015, arXiv 1412.6550.

    L = mean_pairs mean_bctd (r(F^s) − F^t)² / σ_c²

r is a 1×1 convolution with a bias from the student's to the teacher's channels, trained along and dropped at
export. The published programs add a norm and a ReLU to it, which cannot fit the signed features of networks with
PReLU; they leave σ out and weigh the loss 100. `standardise: true` (ours) divides by the running variance σ_c² of
each teacher channel, so that loud channels do not decide; σ² is at least 1e-6 of the channels' mean.

Layers: the end of the middle set in both networks (without a set `middle`: of the set in the middle of the depth);
`layers: all` takes every pair. `schedule: two_step` is the paper's: hints alone, for a fifth of the updates.

Any B and T; both sides with the same frames. D is averaged to the smaller. Blind to nothing but what r can undo:
any linear mixing of the student's channels.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from stillwave.distill.method import BatchInputs, Method, ModelOutputs, Shapes, full_precision, register
from stillwave.distill.pairing import LayerPair, check_frames, features, one_to_one, same_bins
from stillwave.distill.regressors import RunningAverage, bottleneck_pair
from stillwave.schema.methods import FitnetsConfig

LEAST_VARIANCE = 1e-6
"""-60 dB."""


@register("fitnets")
class FitNets(Method):
    """One loss for each pair of layers, named after it."""

    Config = FitnetsConfig
    title = "the teacher's middle, predicted from the student's (FitNets, ICLR 2015)"
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
        """Raises `DistillError` if no layers can be paired, or their frames differ."""
        pairs = one_to_one(shapes) if config.layers == "all" else [bottleneck_pair(shapes, "middle")]
        check_frames(pairs, "fitnets")
        return cls(config, pairs)

    def losses(self, student: ModelOutputs, teacher: ModelOutputs, given: BatchInputs) -> dict[str, Tensor]:
        """See the file's head."""
        maps = features(self.pairs, student, teacher)
        with full_precision(student.features[self.pairs[0].set][0].device):
            return {
                pair.label: self._distance(pair.label, *same_bins(*both)) / len(self.pairs)
                for pair, both in zip(self.pairs, maps, strict=True)
            }

    def _distance(self, label: str, student: Tensor, teacher: Tensor) -> Tensor:
        error: Tensor = (self.regressors[label](student) - teacher).square().mean((0, 2, 3))
        if self.config.standardise:
            error = error / _floored(self.variances[label](teacher.var((0, 2, 3), correction=0)))
        return error.mean()


def _floored(variances: Tensor) -> Tensor:
    """Channels that hardly vary must not decide either; 1 where none does."""
    floored = torch.maximum(variances, LEAST_VARIANCE * variances.mean())
    return floored.masked_fill(floored == 0, 1.0)
