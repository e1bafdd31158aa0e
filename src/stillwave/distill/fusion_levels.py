"""Recursions over the layers of a set that give something out at each level (ReviewKD, CLSKD, UCLFWPKD).

As defined, for the student's layers in order of visit (Act: PReLU or nothing; Norm: InstanceNorm or BatchNorm):

    X_k = Act(Norm(Conv1×1 F_k))     R_1 = X_1     R_k = a·X_k + b·Y     O_k = Act(Norm(Conv3×3 R_k))

with Y = R_{k−1} resized along frequency to D_k and [a, b] = sigmoid(Conv1×1 [X_k; Y]). O_k has the channels of the
teacher's layer that it meets. The flagship's fuser (`fusion.py`) gives out the last level alone, and so need not
compute at any other level's bins; norms, gates and derivatives are its own here too.

Order of visit: a set named `decoder` runs from its first layer to its last, any other from the last to the first:
away from the bottleneck. (The flagship's is the reverse.) Which student layer meets which of the teacher's is
`pairing.one_to_one`'s matter; with `every` teacher layer of a set that has more of them, teacher layer j of m meets
student layer ⌈j·n/m⌉ of n, which then enters the recursion several times.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal, cast

import torch
from torch import Tensor, nn

from stillwave.distill.fusion import Moments, Norm, Unit, nearest_bins
from stillwave.distill.fusion_steps import blend, prelu
from stillwave.distill.method import DistillError, Layer, ModelOutputs, Shapes, to_float32
from stillwave.distill.pairing import MASK_CHANNELS, LayerPair, check_frames

Levels = dict[str, LayerPair]
"""The levels of one set in order of visit, by name (for losses)."""


def levels(shapes: Shapes, method: str, *, every: bool = False, masks: bool = False) -> dict[str, Levels]:
    """What each set's recursion visits; sets without a level are left out.

    Args:
        shapes: of both networks.
        method: its name, for messages.
        every: every teacher layer has a level, also where the student has fewer.
        masks: layers of two channels or fewer are levels too.

    Raises:
        DistillError: no level at all, or frames that differ.

    """
    found = {name: _of_set(name, shapes, every, masks) for name in shapes.student}
    found = {name: visits for name, visits in found.items() if visits}
    if not found:
        raise DistillError(
            f"{method} finds no pair of layers to compare: name layers of more than {MASK_CHANNELS} channels "
            "in both networks"
        )
    for visits in found.values():
        check_frames(list(visits.values()), method)
        _check_steady([pair.student for pair in visits.values()], method)
    return found


def _of_set(name: str, shapes: Shapes, every: bool, masks: bool) -> Levels:
    students, teachers = shapes.student[name], shapes.teacher[name]
    n, m = len(students), len(teachers)
    by_teacher = every and m > n
    if by_teacher:
        places = [(-(-(j + 1) * n // m) - 1, j) for j in range(m)]
    else:
        places = [(i, -(-(i + 1) * m // n) - 1) for i in range(n)]
    pairs = {
        f"{name}_{(j if by_teacher else i) + 1}": LayerPair(name, i, j, students[i], teachers[j])
        for i, j in (places if name == "decoder" else places[::-1])
    }
    least = 0 if masks else MASK_CHANNELS
    return {label: p for label, p in pairs.items() if min(p.student.channels, p.teacher.channels) > least}


def maps(visits: Levels, student: ModelOutputs, teacher: ModelOutputs) -> tuple[list[Tensor], list[Tensor]]:
    """What both networks did at each level, at least float32; a layer of several levels is one tensor.

    The teacher's are detached.
    """
    name = next(iter(visits.values())).set
    ours = {p.i: to_float32(student.features[name][p.i]) for p in visits.values()}
    theirs = {p.j: to_float32(teacher.features[name][p.j].detach()) for p in visits.values()}
    return [ours[p.i] for p in visits.values()], [theirs[p.j] for p in visits.values()]


def _check_steady(layers: Sequence[Layer], method: str) -> None:
    for layer in layers:
        if layer.frames != layers[0].frames:
            raise DistillError(
                f"{method} fuses layers frame by frame, but layer '{layers[0].name}' has {layers[0].frames} and "
                f"'{layer.name}' has {layer.frames}; tap layers with the same number of frames"
            )


class LevelFuser(nn.Module):
    """The recursion of one set. All that is built is used.

    On CPU one example is taken at a time, as in `fusion.Fuser`; not so where the norm looks across them.
    """

    def __init__(
        self,
        visits: Sequence[LayerPair],
        width: int,
        activation: Literal["prelu", "none"] = "none",
        norm: Norm = "instance",
        resize: bool = False,
    ) -> None:
        """`resize`: O_k gets the bins of the teacher's layer too (R_k is resized before its 3×3 convolution)."""
        super().__init__()
        self.bins = [pair.teacher.bins if resize else None for pair in visits]
        self.units = nn.ModuleList(Unit(p.student.channels, width, 1, activation, norm) for p in visits)
        self.gates = nn.ModuleList(nn.Conv2d(2 * width, 2, 1) for _ in visits[1:])
        self.outputs = nn.ModuleList(Unit(width, p.teacher.channels, 3, activation, norm) for p in visits)
        self.across = norm == "batch"

    def forward(self, visited: Sequence[Tensor]) -> list[Tensor]:
        """[B, C_k, T, D_k] each, in order of visit (one map may come several times) → O_k [B, C^t_k, T, ·]."""
        whole = self.across or visited[0].device.type != "cpu"
        size = len(visited[0]) if whole else 1
        parts = {id(f): torch.split(f, size) for f in visited}
        examples = [self._fuse(part) for part in zip(*(parts[id(f)] for f in visited), strict=True)]
        return [torch.cat(outputs).permute(0, 3, 1, 2) for outputs in zip(*examples, strict=True)]

    def _fuse(self, visited: Sequence[Tensor]) -> list[Tensor]:
        units, outputs = cast("list[Unit]", list(self.units)), cast("list[Unit]", list(self.outputs))
        gates = cast("list[nn.Conv2d]", [None, *self.gates])
        known: dict[int, Moments] = {}
        fused: list[Tensor] = []
        mixed, bins = visited[0], 0
        for k, (feature, unit) in enumerate(zip(visited, units, strict=True)):
            if id(feature) not in known:
                known[id(feature)] = unit.moments_of(feature)
            member = unit.normalised(feature, found=known[id(feature)])
            batch, _, frames, own = feature.shape
            if k == 0:
                mixed = prelu(member, unit.slope)
            else:
                below = resized(mixed.view(batch, frames, bins, -1), own).flatten(1, 2)
                mixed = blend(member, unit.slope, below, gates[k])
            bins = own
            fused.append(outputs[k](resized(mixed.view(batch, frames, own, -1), self.bins[k] or own)))
        return fused


def resized(x: Tensor, bins: int) -> Tensor:
    """[B, T, D, C] → [B, T, bins, C] by nearest neighbours."""
    return x if x.shape[2] == bins else x.index_select(2, nearest_bins(x.shape[2], bins).to(x.device))
