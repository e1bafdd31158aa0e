"""CLSKD-style: fused layers, with similarities between the examples of the batch at each frame.

After J. Cheng et al., "Cross-Layer Similarity Knowledge Distillation for Speech Enhancement", Interspeech 2022, pp.
926–930. Reconstructed from the abstract (paths across layers, frame-level similarity) and from a later program of the
same authors.

    G_t = M_:,t M_:,tᵀ [B, B]: inner products of the examples of the batch at frame t     G~: rows of unit L2 norm
    L_l = 1/(T·B²) Σ_t ‖G~^t_t − G~^s_t‖²_F,     L = Σ_levels L_l

Choices of this project: the mean over frames; the student's levels are fused as in ReviewKD with InstanceNorm
(`fuse: student`, see `fusion_levels.py`), with `fusion_channels` channels (default: as ReviewKD); if the teacher has
more layers in a set, the last of each part is compared; masks are left out. `fuse: teacher`, the other reading of the
abstract: the student's own layers are compared with the average of the teacher's levels visited so far, each channel
standardised over the batch, bins resized to those of the level (nearest); the teacher layers must have equal
channels, and there are no connectors. `fuse: off`: no fusion.

Any T; equal numbers of frames; any C and D. The loss of a batch of one example is 0, counted in `skipped`. Invariant to
sign, level and rotation of each frame's row.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from stillwave.distill.fusion_levels import Levels, levels, maps, resized
from stillwave.distill.grams import gram_distance, zero_loss
from stillwave.distill.method import (
    BatchInputs,
    DistillError,
    Method,
    ModelOutputs,
    Shapes,
    full_precision,
    register,
)
from stillwave.distill.methods.reviewkd import review
from stillwave.schema.methods import ClskdConfig


@register("clskd")
class CrossLayerSimilarity(Method):
    """One loss for each level."""

    Config = ClskdConfig
    title = "CLSKD-style: fused layers, examples compared at each frame (Interspeech 2022, reconstructed)"
    skipped: Tensor

    def __init__(self, config: ClskdConfig, sets: list[Levels]) -> None:
        super().__init__()
        self.config = config
        self.sets = sets
        fused = sets if config.fuse == "student" else []
        self.fusers = nn.ModuleList(
            review(visits, width=config.fusion_channels, resize=False) for visits in fused
        )
        self.register_buffer("skipped", torch.zeros((), dtype=torch.int64))

    @classmethod
    def build(cls, config: ClskdConfig, shapes: Shapes) -> CrossLayerSimilarity:
        """Pair the levels. Raise DistillError if there is none, or frames or channels differ."""
        found = levels(shapes, "clskd")
        if config.fuse == "teacher":
            for visits in found.values():
                _check_channels(visits)
        return cls(config, list(found.values()))

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
                if self.config.fuse == "student":
                    student_maps = self.fusers[index](student_maps)
                if self.config.fuse == "teacher":
                    teacher_maps = averages(teacher_maps)
                for label, s, t in zip(visits, student_maps, teacher_maps, strict=True):
                    found[label] = gram_distance(s, t, "bt")
        return found


@torch.no_grad()
def averages(visited: Sequence[Tensor]) -> list[Tensor]:
    """Return for each level the mean of the standardised maps up to it, with its bins."""
    visited_maps: list[Tensor] = []
    found = []
    for feature in visited:
        visited_maps.append(_standardised(feature).permute(0, 2, 3, 1))
        found.append(
            torch.stack([resized(f, feature.shape[3]) for f in visited_maps]).mean(0).permute(0, 3, 1, 2)
        )
    return found


def _standardised(feature: Tensor) -> Tensor:
    """Standardise each channel over the batch; 0 if it is constant."""
    variance, mean = torch.var_mean(feature, (0, 2, 3), correction=0, keepdim=True)
    return (feature - mean) * variance.masked_fill(variance == 0, 1.0).rsqrt()


def _check_channels(visits: Levels) -> None:
    first, *others = (pair.teacher for pair in visits.values())
    for layer in others:
        if layer.channels != first.channels:
            raise DistillError(
                f"clskd with fuse 'teacher' averages teacher layers, but '{first.name}' has {first.channels} channels "
                f"and '{layer.name}' has {layer.channels}; tap layers with equal channels, or use fuse 'student'"
            )
