"""Recursive fusion with an output at each level (ReviewKD, CLSKD, UCLFWPKD).

Definition, for the student's layers in order of visit (Act: PReLU or identity; Norm: InstanceNorm or BatchNorm):

    X_k = Act(Norm(Conv1×1 F_k))     R_1 = X_1     R_k = a·X_k + b·Y     O_k = Act(Norm(Conv3×3 R_k))

with Y = R_{k−1} resized along frequency to D_k and [a, b] = sigmoid(Conv1×1 [X_k; Y]). O_k has the channels of the
teacher layer that it is compared with. (The flagship's fuser, `fusion.py`, returns the last level only, at its bins.)

Order of visit: a set named `decoder` from its first layer to its last, any other from the last to the first: away
from the bottleneck, the reverse of the flagship's. Layers are paired as in `pairing.one_to_one`; with `every`, if the
teacher has m > n layers, teacher layer j is compared with student layer ⌈j·n/m⌉, which enters the recursion several
times.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal, cast

import torch
from torch import Tensor, nn

from stillwave.distill.fusion import Moments, Norm, Unit, nearest_bins
from stillwave.distill.fusion_steps import blend, prelu
from stillwave.distill.method import ModelOutputs, Shapes, to_float32
from stillwave.distill.pairing import (
    MASK_CHANNELS,
    LayerPair,
    check_frames,
    check_pairs,
    counterparts,
    no_layers,
)

Levels = dict[str, LayerPair]
"""Layer pairs of one set in order of visit, by name of the loss."""


def levels(shapes: Shapes, method: str, *, every: bool = False, masks: bool = False) -> dict[str, Levels]:
    """Return the levels of each set; sets without a level are left out.

    Args:
        shapes: Layers of both networks.
        method: Name of the method, for messages.
        every: Whether every teacher layer has a level, if the student has fewer.
        masks: Whether masks are levels.

    Raises:
        DistillError: There is no level, or frames differ.

    """
    found = {name: _of_set(name, shapes, every, masks) for name in shapes.student}
    found = {name: visits for name, visits in found.items() if visits}
    if not found:
        raise no_layers(method)
    for visits in found.values():
        check_pairs(visits.values(), method)
        check_frames([pair.student for pair in visits.values()], method)
    return found


def _of_set(name: str, shapes: Shapes, every: bool, masks: bool) -> Levels:
    students, teachers = shapes.student[name], shapes.teacher[name]
    n, m = len(students), len(teachers)
    by_teacher = every and m > n
    indices = [(i, j) for j, i in counterparts(m, n)] if by_teacher else counterparts(n, m)
    pairs = {
        f"{name}_{(j if by_teacher else i) + 1}": LayerPair(name, i, j, students[i], teachers[j])
        for i, j in (indices if name == "decoder" else indices[::-1])
    }
    least = 0 if masks else MASK_CHANNELS
    return {label: p for label, p in pairs.items() if min(p.student.channels, p.teacher.channels) > least}


def maps(visits: Levels, student: ModelOutputs, teacher: ModelOutputs) -> tuple[list[Tensor], list[Tensor]]:
    """Return the feature maps of student and teacher at each level, at least float32; the teacher's are detached.

    A layer that is part of several levels is the same tensor at each.
    """
    name = next(iter(visits.values())).set
    student_maps = {p.i: to_float32(student.features[name][p.i]) for p in visits.values()}
    teacher_maps = {p.j: to_float32(teacher.features[name][p.j].detach()) for p in visits.values()}
    return [student_maps[p.i] for p in visits.values()], [teacher_maps[p.j] for p in visits.values()]


class LevelFuser(nn.Module):
    """The recursion of one set.

    On CPU, examples are processed one at a time, as in `fusion.Fuser`, unless the norm spans the batch.

    Args:
        visits: Layer pairs in order of visit.
        width: Channels inside the fuser.
        activation: Activation after each norm.
        norm: `instance` or `batch`.
        resize: Whether R_k is resized to the teacher's bins before the 3×3 convolution.

    """

    def __init__(
        self,
        visits: Sequence[LayerPair],
        width: int,
        activation: Literal["prelu", "none"] = "none",
        norm: Norm = "instance",
        resize: bool = False,
    ) -> None:
        super().__init__()
        self.bins = [pair.teacher.bins if resize else None for pair in visits]
        self.units = nn.ModuleList(Unit(p.student.channels, width, 1, activation, norm) for p in visits)
        self.gates = nn.ModuleList(nn.Conv2d(2 * width, 2, 1) for _ in visits[1:])
        self.outputs = nn.ModuleList(Unit(width, p.teacher.channels, 3, activation, norm) for p in visits)
        self.across = norm == "batch"

    def forward(self, visited: Sequence[Tensor]) -> list[Tensor]:
        """Map [B, C_k, T, D_k] in order of visit (a map may be repeated) to O_k [B, C^t_k, T, ·]."""
        size = len(visited[0]) if self.across or visited[0].device.type != "cpu" else 1
        parts = {id(f): torch.split(f, size) for f in visited}
        examples = [self._fuse(part) for part in zip(*(parts[id(f)] for f in visited), strict=True)]
        return [torch.cat(outputs).permute(0, 3, 1, 2) for outputs in zip(*examples, strict=True)]

    def _fuse(self, visited: Sequence[Tensor]) -> list[Tensor]:
        units, outputs = cast("list[Unit]", list(self.units)), cast("list[Unit]", list(self.outputs))
        gates = cast("list[nn.Conv2d]", [None, *self.gates])
        known: dict[int, Moments] = {}
        fused: list[Tensor] = []
        mixed, previous = visited[0], 0
        for k, (feature, unit) in enumerate(zip(visited, units, strict=True)):
            if id(feature) not in known:
                known[id(feature)] = unit.moments_of(feature)
            member = unit.normalised(feature, found=known[id(feature)])
            batch, _, frames, bins = feature.shape
            if k == 0:
                mixed = prelu(member, unit.slope)
            else:
                below = resized(mixed.view(batch, frames, previous, -1), bins).flatten(1, 2)
                mixed = blend(member, unit.slope, below, gates[k])
            previous = bins
            fused.append(outputs[k](resized(mixed.view(batch, frames, bins, -1), self.bins[k] or bins)))
        return fused


def resized(x: Tensor, bins: int) -> Tensor:
    """Resize [B, T, D, C] to [B, T, bins, C] by nearest neighbours."""
    return x if x.shape[2] == bins else x.index_select(2, nearest_bins(x.shape[2], bins).to(x.device))
