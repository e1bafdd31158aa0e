"""Latent-cosine-style: the student's latent turned into the direction of the teacher's.

Reconstructed from the abstract of Luong, Heikkinen, Drossos, Virtanen, AES 158 (2025), arXiv 2505.03442: a latent is
aligned by cosine distance, which binds scale, order and dimension less than a squared error; a linear expansion
deals with different dimensions. What follows is our reading.

    L = 1/Σw Σ_bt w_bt (1 − cos(W (z_bt^s − μ^s), z_bt^t − μ^t))

z_bt: frame t of the latent, [C·D]. W: linear over channels at each frame and bin, C^s → C^t, no bias, trained
along and dropped at export. μ: running mean of each channel of each side (`centre: true`; positive features are
all alike without). w: 0 for frames in which the teacher's latent is 60 dB below its example's largest, else 1.
`over: position` compares channels at each frame and bin, `over: example` the whole example at once.

Latent: the end of the middle set, or of the encoder with `layers: encoder`. Any B and T; both sides with the same
frames. D is averaged to the smaller. Blind to level, and through W to sign and mixing of the student's channels.
"""

from __future__ import annotations

from torch import Tensor, nn

from stillwave.distill.grams import silence_mask, unit
from stillwave.distill.method import BatchInputs, Method, ModelOutputs, Shapes, full_precision, register
from stillwave.distill.pairing import LayerPair, check_frames, features, same_bins
from stillwave.distill.regressors import RunningAverage, bottleneck_pair
from stillwave.distill.similarity import SILENCE
from stillwave.schema.methods import CosineConfig

SILENT_TEACHER = 1e-3
"""-60 dB."""


@register("cosine")
class LatentCosine(Method):
    """One loss, named after the layer."""

    Config = CosineConfig
    title = "latent-cosine-style: direction of the latent, through a linear expansion (AES 2025)"

    def __init__(self, config: CosineConfig, pair: LayerPair) -> None:
        super().__init__()
        self.config = config
        self.pair = pair
        self.expansion = nn.Conv2d(pair.student.channels, pair.teacher.channels, 1, bias=False)
        self.student_mean = RunningAverage(pair.student.channels)
        self.teacher_mean = RunningAverage(pair.teacher.channels)

    @classmethod
    def build(cls, config: CosineConfig, shapes: Shapes) -> LatentCosine:
        """Raises `DistillError` if no layers can be paired, or their frames differ."""
        pair = bottleneck_pair(shapes, config.layers)
        check_frames([pair], "cosine")
        return cls(config, pair)

    def losses(self, student: ModelOutputs, teacher: ModelOutputs, given: BatchInputs) -> dict[str, Tensor]:
        """See the file's head."""
        ((ours, theirs),) = features([self.pair], student, teacher)
        with full_precision(ours.device):
            ours, theirs = same_bins(ours, theirs)
            heard = ~silence_mask(self._rows(theirs).square().sum(-1), SILENT_TEACHER**2, 0)
            if self.config.centre:
                ours, theirs = _centred(ours, self.student_mean), _centred(theirs, self.teacher_mean)
            cosines = (self._directions(self.expansion(ours)) * self._directions(theirs)).sum(-1)
            return {self.pair.label: (heard * (1 - cosines)).sum() / heard.sum().clamp_min(1)}

    def _rows(self, feature: Tensor) -> Tensor:
        """[B, C, T, D] → [B, rows, numbers] of which each pair has one cosine."""
        if self.config.over == "example":
            return feature.flatten(1).unsqueeze(1)
        if self.config.over == "position":
            return feature.flatten(2).mT
        return feature.transpose(1, 2).flatten(2)

    def _directions(self, feature: Tensor) -> Tensor:
        rows = self._rows(feature)
        silent = silence_mask(rows.detach().square().sum(-1), SILENCE**2, 0)
        return unit(rows.masked_fill(silent.unsqueeze(-1), 0.0))


def _centred(feature: Tensor, mean: RunningAverage) -> Tensor:
    running: Tensor = mean(feature.mean((0, 2, 3)))
    return feature - running[:, None, None]
