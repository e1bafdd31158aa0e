"""ReviewKD: each level of the student, fused with all deeper levels, is compared with the teacher's level.

P. Chen et al., "Distilling Knowledge via Knowledge Review", CVPR 2021, arXiv 2104.09044.

    O_k: the student's levels, fused recursively from the bottleneck outwards (`fusion_levels.py`; no activation, so
         that signed features can be fitted), with C^t_k channels; `mid` = min(512, C of the level visited first) inside
    HCL(O, F) = Σ_l w_l mean(P_l(O) − P_l(F))² / Σ w_l,   w = 1, 1/2, 1/4, 1/8 for the levels present
    L = Σ_levels HCL(O_k, F^t_k)

P_0 is the identity; `hcl: square` (published) then averages to l×l, l = 4, 2, 1, skipping l ≥ T, and `hcl: frequency`
(this project, default) averages bins to 16, 8, 4, skipping those ≥ D, and keeps all frames, since 4×4 cells remove the
structure of a sentence. `norm: batch` (published) normalises over the batch, `norm: instance` (this project, default)
each example, which suits small batches. Running averages of BatchNorm are not kept.

Levels: all layers of a set, including the mask, which is why the output has no activation. `middle: last` (default):
if the teacher has more layers in a set, the student's are compared with the last of each part; `all`: each teacher
layer is compared, the student's layer enters the recursion once for each. The paper compares features before
activations; here the taps determine this.

Both convolutions are initialised uniformly (Kaiming, a = 1), λ rises over the first 8 % of the updates; the published
weight is 1 (5 in one setting). Any B and T; equal numbers of frames. Depends on level: loud layers dominate.
"""

from __future__ import annotations

from torch import Tensor, nn

from stillwave.distill.fusion import Norm
from stillwave.distill.fusion_levels import LevelFuser, Levels, levels, maps
from stillwave.distill.method import BatchInputs, Method, ModelOutputs, Shapes, full_precision, register
from stillwave.schema.methods import ReviewkdConfig

MAX_WIDTH = 512
SQUARES = (4, 2, 1)
BANDS = (16, 8, 4)


@register("reviewkd")
class ReviewKD(Method):
    """One loss for each level."""

    Config = ReviewkdConfig
    title = "fused student layers against the teacher's, level by level (ReviewKD, CVPR 2021)"
    published_weight = 1.0
    warmup = 0.08

    def __init__(self, config: ReviewkdConfig, sets: list[Levels]) -> None:
        super().__init__()
        self.config = config
        self.sets = sets
        self.fusers = nn.ModuleList(review(visits, norm=config.norm) for visits in sets)

    @classmethod
    def build(cls, config: ReviewkdConfig, shapes: Shapes) -> ReviewKD:
        """Pair the levels. Raise DistillError if there is none, or frames differ."""
        found = levels(shapes, "reviewkd", every=config.middle == "all", masks=True)
        return cls(config, list(found.values()))

    def losses(self, student: ModelOutputs, teacher: ModelOutputs, inputs: BatchInputs) -> dict[str, Tensor]:
        """Return the losses by level, for any B and T."""
        found = {}
        for visits, fuser in zip(self.sets, self.fusers, strict=True):
            student_maps, teacher_maps = maps(visits, student, teacher)
            with full_precision(student_maps[0].device):
                for label, fused, target in zip(visits, fuser(student_maps), teacher_maps, strict=True):
                    found[label] = hierarchical(fused - target, self.config.hcl)
        return found


def review(
    visits: Levels, norm: Norm = "instance", width: int | None = None, resize: bool = True
) -> LevelFuser:
    """Return a fuser of these levels, initialised as in ReviewKD."""
    pairs = list(visits.values())
    fuser = LevelFuser(pairs, width or min(MAX_WIDTH, pairs[0].student.channels), "none", norm, resize)
    for unit in [*fuser.units, *fuser.outputs]:
        nn.init.kaiming_uniform_(unit.conv.weight, a=1)
    return fuser


def hierarchical(error: Tensor, kind: str) -> Tensor:
    """Return HCL of the difference of two maps [B, C, T, D]; averaging is linear and commutes with it."""
    total, weight, weights = error.square().mean(), 1.0, 1.0
    frames, bins = error.shape[2:]
    for size in SQUARES if kind == "square" else BANDS:
        if size >= (frames if kind == "square" else bins):
            continue
        weight /= 2
        weights += weight
        pooled = (size, size) if kind == "square" else (frames, size)
        total = total + weight * nn.functional.adaptive_avg_pool2d(error, pooled).square().mean()
    return total / weights
