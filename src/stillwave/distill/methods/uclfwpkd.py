"""UCLFWPKD: fused student layers, compared by similarity distributions over the batch at each frame.

J. Cheng et al., "Residual Fusion Probabilistic Knowledge Distillation for Speech Enhancement", IEEE/ACM TASLP 2024;
the formulas are those of the authors' program.

    O_k: the student's levels, fused recursively from the bottleneck outwards (`fusion_levels.py`, PReLU), with the
         teacher's channels
    P_t [B, B]: similarities (cos + 1)/2 of the examples of the batch at frame t, rows summing to 1 (`similarity.py`)
    ω_bt = sigmoid(mean over C and D of F^t_bt)
    L = Σ_levels Σ_t 1/B² Σ_bb' ω_bt (P^t − P^s)(log P^t − log P^s)

Every layer is a level, including the mask. If the teacher has more layers in a set, each is compared, the last with the
student's unfused output, the first with the most fused one. `fuse: false` compares the student's own layers: only
cosines are compared, so the fuser can match the teacher without a change of the student.

`reduction: released` sums over T as above; `mean_over_T` (default, this project) does not grow with the segment.
`frame_weight: released` is ω as above, about ½ for standardised features; `energy` (this project): sigmoid of the log
energy of the clean signal in the frame, standardised over the example; `uniform`: ½.

Any T; equal numbers of frames; any C and D. The loss of a batch of one example is 0, counted in `skipped`. Invariant to
sign (of the mask too), level and rotation of each frame's row.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional as F  # noqa: N812

from stillwave.distill.estimates import required
from stillwave.distill.fusion_levels import LevelFuser, Levels, levels, maps
from stillwave.distill.grams import zero_loss
from stillwave.distill.method import (
    BatchInputs,
    Method,
    ModelOutputs,
    Shapes,
    full_precision,
    register,
    to_float32,
)
from stillwave.distill.similarity import distribution, jeffreys, similarities
from stillwave.schema.methods import UclfwpkdConfig

MIN_ENERGY = 1e-6
"""Smallest energy of a frame relative to the largest of the example (−60 dB)."""


@register("uclfwpkd")
class ResidualFusion(Method):
    """One loss for each level, named after its set and the teacher's layer (or the student's, if it has more)."""

    Config = UclfwpkdConfig
    title = "fused student layers, frame-weighted probabilities over the batch (UCLFWPKD, TASLP 2024)"
    published_weight = 1.0
    skipped: Tensor

    def __init__(self, config: UclfwpkdConfig, sets: list[Levels]) -> None:
        super().__init__()
        self.config = config
        self.sets = sets
        width = config.fusion_channels or max(p.teacher.channels for s in sets for p in s.values())
        self.fusers = nn.ModuleList(
            LevelFuser(list(visits.values()), width, "prelu") for visits in sets if config.fuse
        )
        self.register_buffer("skipped", torch.zeros((), dtype=torch.int64))

    @classmethod
    def build(cls, config: UclfwpkdConfig, shapes: Shapes) -> ResidualFusion:
        """Pair the levels. Raise DistillError if there is none, or frames differ."""
        found = levels(shapes, "uclfwpkd", every=True, masks=True)
        kind = EnergyWeighted if config.frame_weight == "energy" else cls
        return kind(config, list(found.values()))

    def losses(self, student: ModelOutputs, teacher: ModelOutputs, inputs: BatchInputs) -> dict[str, Tensor]:
        """Return the losses by level."""
        found: dict[str, Tensor] = {}
        for index, visits in enumerate(self.sets):
            student_maps, teacher_maps = maps(visits, student, teacher)
            if len(student_maps[0]) < 2:
                self.skipped += index == 0
                found |= {label: zero_loss(f) for label, f in zip(visits, student_maps, strict=True)}
                continue
            with full_precision(student_maps[0].device):
                fused = self.fusers[index](student_maps) if self.config.fuse else student_maps
                weights = [self._frame_weights(f, inputs) for f in teacher_maps]
                found |= dict(zip(visits, self._distances(fused, teacher_maps, weights), strict=True))
        return found

    def _frame_weights(self, teacher: Tensor, inputs: BatchInputs) -> Tensor:
        """Return ω, [B, T] or scalar."""
        if self.config.frame_weight == "uniform":
            return teacher.new_tensor(0.5)
        if self.config.frame_weight == "released":
            return teacher.mean((1, 3)).sigmoid()
        clean = required(inputs.clean, "uclfwpkd with frame_weight 'energy'")
        return log_energy(to_float32(clean), teacher.shape[2]).to(teacher.dtype).sigmoid()

    def _distances(
        self, student: Sequence[Tensor], teacher: Sequence[Tensor], weights: Sequence[Tensor]
    ) -> list[Tensor]:
        # Without fusion, levels may share a map; its similarities are computed once.
        student_maps, teacher_maps = ({id(f): f for f in side} for side in (student, teacher))
        rows = jeffreys(
            [_probabilities(f) for f in student_maps.values()],
            [_probabilities(f) for f in teacher_maps.values()],
            [
                (list(student_maps).index(id(s)), list(teacher_maps).index(id(t)))
                for s, t in zip(student, teacher, strict=True)
            ],
        )
        batch, frames = rows.shape[:2]
        scale = batch**2 * (frames if self.config.reduction == "mean_over_T" else 1)
        return [(w * rows[..., level]).sum() / scale for level, w in enumerate(weights)]


class EnergyWeighted(ResidualFusion):
    """The method with `frame_weight: energy`, which requires the clean signal."""

    uses_clean = True
    uses_estimate = True  # so that the signals of all processes are gathered


def _probabilities(feature: Tensor) -> Tensor:
    return distribution(similarities(feature, ("batch",))["batch"].cosine)


@torch.no_grad()
def log_energy(signal: Tensor, frames: int) -> Tensor:
    """Return the log energy of [B, N] in equal parts, standardised over each example; 0 if it is constant."""
    energy = F.adaptive_avg_pool1d(signal.square().unsqueeze(1), frames).squeeze(1)
    peak = energy.amax(1, keepdim=True)
    logs = (energy / peak.masked_fill(peak == 0, 1.0)).clamp_min(MIN_ENERGY).log()
    variance, mean = torch.var_mean(logs, 1, correction=0, keepdim=True)
    return (logs - mean) * variance.masked_fill(variance < MIN_ENERGY, 1.0).rsqrt()
