"""Layer groups: each student layer of a group is compared with each teacher layer."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from torch import Tensor

from stillwave.distill.method import Layer, ModelOutputs, Shapes, to_float32
from stillwave.distill.pairing import MASK_CHANNELS, check_frames, no_layers


@dataclass(frozen=True)
class Member:
    """A layer, its tap set and its index in the set."""

    set: str
    index: int
    layer: Layer

    @property
    def label(self) -> str:
        """Name of the loss, such as `encoder_1`."""
        return f"{self.set}_{self.index + 1}"

    def feature(self, outputs: ModelOutputs) -> Tensor:
        """Return the feature map [B, C, T, D] of this layer, at least float32."""
        return to_float32(outputs.features[self.set][self.index])


@dataclass(frozen=True)
class Group:
    """Student and teacher layers that are all compared with one another."""

    name: str
    students: tuple[Member, ...]
    teachers: tuple[Member, ...]

    @property
    def weighted(self) -> bool:
        """Whether there are several teacher layers, so that they need weights."""
        return len(self.teachers) > 1


def groups(shapes: Shapes, method: str, *, by_set: bool) -> list[Group]:
    """Return one group for each tap set, or one of all layers, named `all`. Masks are left out.

    Raises DistillError if no group has layers of both networks, or frames differ within one.
    """
    students, teachers = _members(shapes.student), _members(shapes.teacher)
    if by_set:
        found = [
            Group(
                name, tuple(s for s in students if s.set == name), tuple(t for t in teachers if t.set == name)
            )
            for name in shapes.student
        ]
    else:
        found = [Group("all", tuple(students), tuple(teachers))]
    found = [group for group in found if group.students and group.teachers]
    if not found:
        raise no_layers(method)
    for group in found:
        check_frames([member.layer for member in (*group.students, *group.teachers)], method)
    return found


def _members(side: Mapping[str, tuple[Layer, ...]]) -> list[Member]:
    return [
        Member(name, index, layer)
        for name, layers in side.items()
        for index, layer in enumerate(layers)
        if layer.channels > MASK_CHANNELS
    ]
