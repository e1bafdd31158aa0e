"""SemCKD: each student layer is compared with each teacher layer, weighted for each example.

D. Chen et al., "Cross-Layer Distillation with Semantic Calibration", AAAI 2021, arXiv 2012.03236; the formulas are
those of the authors' program.

    G [B, B]: inner products of the examples' whole feature maps, one matrix a layer
    q_ib, k_jb: row b of the matrix of student layer i, teacher layer j, embedded by a small network a layer, unit norm
    α_bij = softmax over j of ⟨q_ib, k_jb⟩
    L = 1/(B·n) Σ_bij α_bij · mean_ctd (r_ij(F^s_i) − F^t_j)²

r_ij: `regressor: 1x1` (this project, default), a convolution with bias; `released`, three convolutions (1×1 to twice
the teacher's channels, 3×3, 1×1; BatchNorm and ReLU between, no bias), about ten million parameters for DPDCRN.

`rows: released` embeds the row of G itself (B → B/2 → B/4): other batch sizes are refused, and the position of an
example in the batch affects its embedding. `any_batch` (this project, default) embeds 8 quantiles of the example's
cosines to the others (0 if there is no other) and the logarithm of its mean square.

`within_sets: true` (this project, default) compares the layers of one set; else all layers with all. n counts the
student layers of all sets, so that the losses add up to one mean. Masks are left out. With one teacher layer in a
set, α = 1 and no embedding is built.

α can prefer teacher layers that are easy to predict, for example of low level. `standardise` (this project): the
teacher's channels have mean 0 and variance 1, by running averages. `detach_attention` (this project): the student
cannot lower the loss through q; the embeddings are still trained.

Any T; equal numbers of frames; the larger D is averaged to the smaller. α is invariant to signs and rotations; the rest
of the loss is not.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from stillwave.distill.calibration import Embedding, EmbeddingSize, sorted_others
from stillwave.distill.fusion import Unit
from stillwave.distill.groups import Group, Member, groups
from stillwave.distill.method import (
    BatchInputs,
    DistillError,
    Method,
    ModelOutputs,
    Shapes,
    full_precision,
    register,
)
from stillwave.distill.pairing import pool_bins
from stillwave.distill.running_statistics import Standardise
from stillwave.distill.similarity import inverse_norms
from stillwave.schema.methods import SemckdConfig

QUANTILES = 8
FLOOR = 1e-8
"""Added to mean squares before the logarithm."""


@register("semckd")
class SemCKD(Method):
    """One loss for each group: a tap set, or `all`.

    Attributes:
        weights: α of the last call by group, [B, n, m], detached.

    """

    Config = SemckdConfig
    title = "all student layers with all teacher layers of a set, weighted (SemCKD, AAAI 2021)"
    published_weight = 400.0

    def __init__(self, config: SemckdConfig, found: list[Group], batch: int) -> None:
        super().__init__()
        self.config = config
        self.groups = found
        self.count = sum(len(group.students) for group in found)
        self.parts = nn.ModuleList(_Weighted(group, config, batch) for group in found)
        self.weights: dict[str, Tensor] = {}

    @classmethod
    def build(cls, config: SemckdConfig, shapes: Shapes) -> SemCKD:
        """Group the layers. Raise DistillError if there is no group, or frames differ."""
        return cls(config, groups(shapes, "semckd", by_set=config.within_sets), shapes.batch)

    def losses(self, student: ModelOutputs, teacher: ModelOutputs, inputs: BatchInputs) -> dict[str, Tensor]:
        """Return the losses by group. Raise DistillError for another batch size with `rows: released`."""
        found = {}
        for group, part in zip(self.groups, self.parts, strict=True):
            student_maps = [member.feature(student) for member in group.students]
            teacher_maps = [member.feature(teacher).detach() for member in group.teachers]
            with full_precision(student_maps[0].device):
                weights, distances = part(student_maps, teacher_maps)
                found[group.name] = (weights * distances).sum((1, 2)).mean() / self.count
            self.weights[group.name] = weights.detach()
        return found


class _Weighted(nn.Module):
    """α and distances of one group."""

    def __init__(self, group: Group, config: SemckdConfig, batch: int) -> None:
        super().__init__()
        self.config = config
        self.attention = _Attention(group, config, batch) if group.weighted else None
        self.regressors = nn.ModuleList(
            nn.ModuleList(_regressor(s, t, config) for t in group.teachers) for s in group.students
        )
        self.standards = nn.ModuleList(
            Standardise(t.layer.channels) for t in group.teachers if config.standardise
        )

    def forward(self, student: Sequence[Tensor], teacher: Sequence[Tensor]) -> tuple[Tensor, Tensor]:
        """Return α and the distances, both [B, n, m]."""
        weights = student[0].new_ones(len(student[0]), len(student), 1)
        if self.attention is not None:
            queries = [f.detach() for f in student] if self.config.detach_attention else student
            weights = self.attention(queries, teacher)
        targets = [s(f) for s, f in zip(self.standards, teacher, strict=True)] if self.standards else teacher
        rows = [self._row(f, of_f, targets) for f, of_f in zip(student, self.regressors, strict=True)]
        return weights, torch.stack(rows, 1)

    def _row(self, feature: Tensor, regressors: nn.Module, targets: Sequence[Tensor]) -> Tensor:
        """Return the mean squared error of one student layer at each teacher layer, [B, m]."""
        assert isinstance(regressors, nn.ModuleList)
        found = []
        pooled: dict[int, Tensor] = {}
        for regressor, target in zip(regressors, targets, strict=True):
            bins = min(feature.shape[3], target.shape[3])
            if bins not in pooled:
                pooled[bins] = pool_bins(feature, bins)
            error = regressor(pooled[bins]) - pool_bins(target, bins)
            found.append(error.square().mean((1, 2, 3)))
        return torch.stack(found, 1)


class _Attention(nn.Module):
    def __init__(self, group: Group, config: SemckdConfig, batch: int) -> None:
        super().__init__()
        self.built_for = batch if config.rows == "released" else None
        width = batch if config.rows == "released" else QUANTILES + 1
        out = max(batch // 4, 1) if config.rows == "released" else QUANTILES
        size = EmbeddingSize(width, 2 * out, out)
        self.queries = nn.ModuleList(Embedding(size, "embedding") for _ in group.students)
        self.keys = nn.ModuleList(Embedding(size, "embedding") for _ in group.teachers)

    def forward(self, student: Sequence[Tensor], teacher: Sequence[Tensor]) -> Tensor:
        """Return α [B, n, m]."""
        queries = torch.cat([e(self._rows(f)) for e, f in zip(self.queries, student, strict=True)], 1)
        keys = torch.cat([e(self._rows(f)) for e, f in zip(self.keys, teacher, strict=True)], 1)
        return (queries @ keys.mT).softmax(-1)

    def _rows(self, feature: Tensor) -> Tensor:
        """Return the input of the embedding for each example, [B, 1, …]."""
        if self.built_for is None:
            return row_statistics(feature).unsqueeze(1)
        if len(feature) != self.built_for:
            raise DistillError(
                f"semckd with rows 'released' was built for batches of {self.built_for} examples and got "
                f"{len(feature)}; use a fixed batch size or rows 'any_batch'"
            )
        flat = feature.flatten(1)
        return (flat @ flat.mT).unsqueeze(1)


def row_statistics(feature: Tensor) -> Tensor:
    """Return descending quantiles of each example's cosines, and its log mean square: [B, QUANTILES + 1]."""
    flat = feature.flatten(1)
    gram = flat @ flat.mT / flat.shape[1]
    squares = gram.diagonal()
    inverse = inverse_norms(squares.unsqueeze(1))
    cosine = gram * inverse * inverse.mT
    quantiles = sorted_others(cosine.unsqueeze(1), QUANTILES).squeeze(1)
    return torch.cat([quantiles, (squares + FLOOR).log().unsqueeze(1)], 1)


def _regressor(student: Member, teacher: Member, config: SemckdConfig) -> nn.Module:
    inputs, outputs = student.layer.channels, teacher.layer.channels
    return nn.Conv2d(inputs, outputs, 1) if config.regressor == "1x1" else _Published(inputs, outputs)


class _Published(nn.Module):
    """Conv1×1, BatchNorm, ReLU, Conv3×3, BatchNorm, ReLU, Conv1×1."""

    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__()
        self.first = Unit(inputs, 2 * outputs, 1, "relu", "batch")
        self.second = Unit(2 * outputs, 2 * outputs, 3, "relu", "batch")
        self.third = nn.Conv2d(2 * outputs, outputs, 1, bias=False)

    def forward(self, feature: Tensor) -> Tensor:
        batch, _, frames, bins = feature.shape
        hidden = self.first.normalised(feature).relu().view(batch, frames, bins, -1)
        out: Tensor = self.third(self.second(hidden).permute(0, 3, 1, 2))
        return out
