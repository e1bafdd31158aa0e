"""Latent-cosine-style: cosine distance between the latents of student and teacher.

Reconstructed from the abstract of Luong, Heikkinen, Drossos, Virtanen, AES 158 (2025), arXiv 2505.03442: the latents
are aligned by cosine distance, which constrains scale, order and dimension less than a squared error; a linear
expansion bridges different dimensions. The rest is our reading.

    L = 1/Σw Σ_bt w_bt (1 − cos(W (z_bt^s − μ^s), z_bt^t − μ^t))

z_bt: frame t of the latent, [C·D]. W: linear over channels at each frame and bin, C^s → C^t, no bias, trained with the
student and dropped at export. μ: running mean of each channel of each network (`centre: true`; without it, positive
features have cosines near 1). w: 0 for frames in which the teacher's latent is 60 dB below the largest of its example,
else 1. `over: position` compares channels at each frame and bin, `over: example` whole examples.

Latent: the last layer of the set `middle`, or `encoder` with `layers: encoder`. Any B and T; equal numbers of frames. D
is averaged to the smaller. Invariant to level and, through W, to sign and mixing of the student's channels.
"""

from __future__ import annotations

from torch import Tensor, nn

from stillwave.distill.grams import silence_mask, unit
from stillwave.distill.method import BatchInputs, Method, ModelOutputs, Shapes, full_precision, register
from stillwave.distill.pairing import LayerPair, bottleneck_pair, check_pairs, features, same_bins
from stillwave.distill.running_statistics import RunningAverage
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
        """Select the latent. Raise DistillError if there is no layer pair, or frames differ."""
        pair = bottleneck_pair(shapes, config.layers)
        check_pairs([pair], "cosine")
        return cls(config, pair)

    def losses(self, student: ModelOutputs, teacher: ModelOutputs, inputs: BatchInputs) -> dict[str, Tensor]:
        """Return the loss."""
        ((student_maps, teacher_maps),) = features([self.pair], student, teacher)
        with full_precision(student_maps.device):
            student_maps, teacher_maps = same_bins(student_maps, teacher_maps)
            active = ~silence_mask(self._rows(teacher_maps).square().sum(-1), SILENT_TEACHER**2, 0)
            if self.config.centre:
                student_maps, teacher_maps = (
                    _centred(student_maps, self.student_mean),
                    _centred(teacher_maps, self.teacher_mean),
                )
            cosines = (self._directions(self.expansion(student_maps)) * self._directions(teacher_maps)).sum(
                -1
            )
            return {self.pair.label: (active * (1 - cosines)).sum() / active.sum().clamp_min(1)}

    def _rows(self, feature: Tensor) -> Tensor:
        """Map [B, C, T, D] to the vectors that are compared, [B, vectors, n]."""
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
