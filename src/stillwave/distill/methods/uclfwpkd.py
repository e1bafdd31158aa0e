"""UCLFWPKD: fused student layers, compared by probabilities over the batch, frame by frame.

J. Cheng et al., "Residual Fusion Probabilistic Knowledge Distillation for Speech Enhancement", IEEE/ACM TASLP 2024;
the formulas are those of the authors' program.

    O_k: the student's levels, fused recursively from the bottleneck outwards (`levels.py`, PReLU), as wide as the
         teacher's
    P_t [B, B]: similarities (cos + 1)/2 of the batch's examples at frame t, rows summing to 1 (`similarity.py`)
    ω_bt = sigmoid(mean over C and D of F^t_bt)
    L = Σ_levels Σ_t 1/B² Σ_bb' ω_bt (P^t − P^s)(log P^t − log P^s)

Every layer is a level, the mask too. Where the teacher has more layers in a set, each is met, the last one by the
student's unfused output, the first by the most fused one. `fuse: false` compares the student's own layers: only
cosines are compared, so the fuser is freedom to match without the student.

`reduction: released` sums over T as above; `mean_over_T` (default, ours) does not grow with the segment.
`frame_weight: released` is ω as above, about ½ everywhere for standardised features; `energy` (ours): sigmoid of the
clean signal's log energy in the frame, standardised over the example; `uniform`: ½.

Any T; both sides with the same frames; any C and D. A batch of one has nothing to compare: 0, which `skipped` counts.
Blind to sign (of the mask too), level and rotations of each frame's row.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional as F  # noqa: N812

from stillwave.distill.fusion_levels import LevelFuser, Levels, levels, maps
from stillwave.distill.grams import zero_loss
from stillwave.distill.method import (
    BatchInputs,
    DistillError,
    Method,
    ModelOutputs,
    Shapes,
    full_precision,
    register,
    to_float32,
)
from stillwave.distill.similarity import distribution, jeffreys, similarities
from stillwave.schema.methods import UclfwpkdConfig

QUIETEST = 1e-6
"""Energies of frames are at least so much of the example's largest (−60 dB)."""


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
        """Raises `DistillError` if there is no level, or frames differ."""
        found = levels(shapes, "uclfwpkd", every=True, masks=True)
        kind = EnergyWeighted if config.frame_weight == "energy" else cls
        return kind(config, list(found.values()))

    def losses(self, student: ModelOutputs, teacher: ModelOutputs, given: BatchInputs) -> dict[str, Tensor]:
        """See the file's head."""
        found: dict[str, Tensor] = {}
        for index, visits in enumerate(self.sets):
            ours, theirs = maps(visits, student, teacher)
            if len(ours[0]) < 2:
                self.skipped += index == 0
                found |= {label: zero_loss(f) for label, f in zip(visits, ours, strict=True)}
                continue
            with full_precision(ours[0].device):
                fused = self.fusers[index](ours) if self.config.fuse else ours
                weights = [self._frame_weights(f, given) for f in theirs]
                found |= dict(zip(visits, self._distances(fused, theirs, weights), strict=True))
        return found

    def _frame_weights(self, teacher: Tensor, given: BatchInputs) -> Tensor:
        """ω [B, T], or one for all."""
        if self.config.frame_weight == "uniform":
            return teacher.new_tensor(0.5)
        if self.config.frame_weight == "released":
            return teacher.mean((1, 3)).sigmoid()
        if given.clean is None:
            raise DistillError(
                "uclfwpkd with frame_weight 'energy' weighs frames by the clean speech; give clean=…"
            )
        return loudness(to_float32(given.clean), teacher.shape[2]).to(teacher.dtype).sigmoid()

    def _distances(
        self, student: Sequence[Tensor], teacher: Sequence[Tensor], weights: Sequence[Tensor]
    ) -> list[Tensor]:
        # Without fusion one map may stand at several levels; its similarities are made once.
        ours, theirs = ({id(f): f for f in side} for side in (student, teacher))
        rows = jeffreys(
            [_probabilities(f) for f in ours.values()],
            [_probabilities(f) for f in theirs.values()],
            [
                (list(ours).index(id(s)), list(theirs).index(id(t)))
                for s, t in zip(student, teacher, strict=True)
            ],
        )
        batch, frames = rows.shape[:2]
        scale = batch**2 * (frames if self.config.reduction == "mean_over_T" else 1)
        return [(w * rows[..., level]).sum() / scale for level, w in enumerate(weights)]


class EnergyWeighted(ResidualFusion):
    """With `frame_weight: energy`, which looks at the clean signal."""

    uses_clean = True
    uses_estimate = True  # so that the signals of all processes are gathered


def _probabilities(feature: Tensor) -> Tensor:
    return distribution(similarities(feature, ("batch",))["batch"].cosine)


@torch.no_grad()
def loudness(signal: Tensor, frames: int) -> Tensor:
    """Log energy of [B, N] in so many equal parts, standardised over each example; 0 where it does not vary."""
    energy = F.adaptive_avg_pool1d(signal.square().unsqueeze(1), frames).squeeze(1)
    peak = energy.amax(1, keepdim=True)
    logs = (energy / peak.masked_fill(peak == 0, 1.0)).clamp_min(QUIETEST).log()
    variance, mean = torch.var_mean(logs, 1, correction=0, keepdim=True)
    return (logs - mean) * variance.masked_fill(variance < QUIETEST, 1.0).rsqrt()
