"""ABC-KD-style: each student layer is compared with a mixture of teacher layers, weighted by attention.

After Y. Wan et al., "ABC-KD: Attention-Based-Compression Knowledge Distillation for Deep Learning-Based Noise
Suppression", Interspeech 2023, arXiv 2305.16665. Reconstructed: only the abstract was available; the form is that of
its family (ALP-KD 2012.14022, AFD 2102.02973).

    z_j = p_j(F^t_j), with the D of student layer i        s_i = g_i(F^s_i), a 1×1 convolution with bias
    α_bij = softmax over j of ⟨W_i GAP(F^s_i), W_j GAP(F^t_j)⟩ / √width,      GAP: mean over T and D
    Z_i = Σ_j α_ij z_j         L = 1/n Σ_i mean_bctd (s_i − Z_i)² / σ_ic²,      σ_ic²: variance of Z_ic over b, t, d

If p were trained, p = 0 and g = 0 would be a perfect solution. So p_j is frozen: the identity if teacher layer j has
as many channels as the widest of its group, else a random isometry into that width (from its own generator, and
saved). The division by σ prevents α from selecting mixtures that cancel; σ is part of the gradient of α, and is
floored at 1e-4 of the mean variance over channels.

`alpha: learned` as above, with one W for each layer; not built for a single teacher layer. `detached_similarity` (this
project): α from the cosine between the T×T Gram matrices of both layers, pooled to at most 32×32, at temperature 0.1;
nothing is trained. `uniform`: 1/m.

`layers: sets` (default) mixes within a set, `all` over all sets; masks are left out. Channels of different layers
have no common basis unless blocks are added to one stream, as in DPDCRN's middle.

Any B and T; equal numbers of frames. Teacher maps with more bins than the student's are averaged, those with fewer are
repeated (nearest). Invariant only to what g can undo: any linear mixing of the student's channels.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from torch import Tensor, nn

from stillwave.distill.fusion import nearest_bins
from stillwave.distill.grams import unit
from stillwave.distill.groups import Group, groups
from stillwave.distill.method import BatchInputs, Method, ModelOutputs, Shapes, full_precision, register
from stillwave.distill.pairing import pool_bins
from stillwave.distill.running_statistics import standard_deviation
from stillwave.schema.methods import AbckdConfig

MAX_FRAMES = 32
TEMPERATURE = 0.1


@register("abckd")
class AttentionCompression(Method):
    """One loss for each student layer.

    Attributes:
        weights: α of the last call by group, [B, n, m], detached.

    """

    Config = AbckdConfig
    title = "ABC-KD-style: student layers against attended mixtures of the teacher's (Interspeech 2023, reconstructed)"

    def __init__(self, config: AbckdConfig, found: list[Group]) -> None:
        super().__init__()
        self.groups = found
        self.count = sum(len(group.students) for group in found)
        generator = torch.Generator().manual_seed(0)
        self.parts = nn.ModuleList(_Compression(group, config, generator) for group in found)
        self.weights: dict[str, Tensor] = {}

    @classmethod
    def build(cls, config: AbckdConfig, shapes: Shapes) -> AttentionCompression:
        """Group the layers. Raise DistillError if there is no group, or frames differ."""
        return cls(config, groups(shapes, "abckd", by_set=config.layers == "sets"))

    def losses(self, student: ModelOutputs, teacher: ModelOutputs, inputs: BatchInputs) -> dict[str, Tensor]:
        """Return the losses by student layer."""
        found = {}
        for group, part in zip(self.groups, self.parts, strict=True):
            student_maps = [member.feature(student) for member in group.students]
            teacher_maps = [member.feature(teacher).detach() for member in group.teachers]
            with full_precision(student_maps[0].device):
                weights, distances = part(student_maps, teacher_maps)
            for member, distance in zip(group.students, distances, strict=True):
                found[member.label] = distance / self.count
            self.weights[group.name] = weights.detach()
        return found


class _Compression(nn.Module):
    """One group: returns α [B, n, m] and the distance of each student layer from its mixture."""

    def __init__(self, group: Group, config: AbckdConfig, generator: torch.Generator) -> None:
        super().__init__()
        self.alpha = config.alpha
        width = max(t.layer.channels for t in group.teachers)
        self.projections = nn.ModuleList(nn.Conv2d(s.layer.channels, width, 1) for s in group.students)
        self.lifts = nn.ModuleList(_Lift(t.layer.channels, width, generator) for t in group.teachers)
        learns = config.alpha == "learned" and group.weighted
        self.queries, self.keys = (
            nn.ModuleList(nn.Linear(m.layer.channels, config.width, bias=False) for m in members if learns)
            for members in (group.students, group.teachers)
        )

    def forward(self, student: Sequence[Tensor], teacher: Sequence[Tensor]) -> tuple[Tensor, list[Tensor]]:
        weights = self._weights(student, teacher)
        lifted: dict[int, list[Tensor]] = {}
        distances = []
        for i, (feature, project) in enumerate(zip(student, self.projections, strict=True)):
            bins = feature.shape[3]
            if bins not in lifted:
                lifted[bins] = [lift(with_bins(f, bins)) for f, lift in zip(teacher, self.lifts, strict=True)]
            target = mixture(weights[:, i], lifted[bins])
            error = (project(feature) - target).square().mean((0, 2, 3))
            scale = standard_deviation(target.var((0, 2, 3), correction=0))
            distances.append((error / scale.square()).mean())
        return weights, distances

    def _weights(self, student: Sequence[Tensor], teacher: Sequence[Tensor]) -> Tensor:
        if len(self.queries):
            q = torch.stack([w(f.mean((2, 3))) for w, f in zip(self.queries, student, strict=True)], 1)
            k = torch.stack([w(f.mean((2, 3))) for w, f in zip(self.keys, teacher, strict=True)], 1)
            return (q @ k.mT / math.sqrt(q.shape[2])).softmax(-1)
        if self.alpha == "detached_similarity" and len(teacher) > 1:
            return similarity_weights(student, teacher)
        return student[0].new_full((len(student[0]), len(student), len(teacher)), 1 / len(teacher))


class _Lift(nn.Module):
    """p_j: maps channels isometrically into a wider space."""

    matrix: Tensor | None

    def __init__(self, channels: int, width: int, generator: torch.Generator) -> None:
        super().__init__()
        matrix = None
        if channels != width:
            matrix = torch.linalg.qr(torch.randn(width, channels, generator=generator)).Q
        self.register_buffer("matrix", matrix)

    def forward(self, feature: Tensor) -> Tensor:
        if self.matrix is None:
            return feature
        return nn.functional.conv2d(feature, self.matrix[:, :, None, None])


def with_bins(feature: Tensor, bins: int) -> Tensor:
    """Map [B, C, T, D] to [B, C, T, bins]: average to fewer bins, or repeat to more (nearest)."""
    if feature.shape[3] >= bins:
        return pool_bins(feature, bins)
    return feature.index_select(3, nearest_bins(feature.shape[3], bins).to(feature.device))


def mixture(weights: Tensor, members: Sequence[Tensor]) -> Tensor:
    """Return Σ_j α_bj z_j for weights [B, m]."""
    total = weights[:, 0, None, None, None] * members[0]
    for j, member in enumerate(members[1:], start=1):
        total = torch.addcmul(total, weights[:, j, None, None, None], member)
    return total


@torch.no_grad()
def similarity_weights(student: Sequence[Tensor], teacher: Sequence[Tensor]) -> Tensor:
    """Return α [B, n, m] from the similarity of the layers' frame Gram matrices."""
    student_maps, teacher_maps = (
        torch.stack([_frame_gram(f) for f in side], 1) for side in (student, teacher)
    )
    return (student_maps @ teacher_maps.mT / TEMPERATURE).softmax(-1)


def _frame_gram(feature: Tensor) -> Tensor:
    """Return the pooled T×T Gram matrix of each example as a vector of unit norm, [B, ·].

    Pooling a Gram matrix equals averaging the frames of its rows first.
    """
    frames = min(feature.shape[2], MAX_FRAMES)
    rows = feature.transpose(1, 2).flatten(2)
    rows = nn.functional.adaptive_avg_pool1d(rows.mT, frames).mT
    return unit((rows @ rows.mT).flatten(1))
