"""Groups of layers in which every student layer meets every teacher layer, and teacher maps brought to one scale."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from stillwave.distill.method import DistillError, Layer, ModelOutputs, Shapes, to_float32
from stillwave.distill.pairing import MASK_CHANNELS
from stillwave.distill.regressors import RunningAverage

LEAST_VARIANCE = 1e-4
"""Of a channel, as a share of the layer's mean: what hardly varies must not decide."""


@dataclass(frozen=True)
class Member:
    """One layer: its set, its place in it, its shape."""

    set: str
    place: int
    layer: Layer

    @property
    def label(self) -> str:
        """For names of losses, such as `encoder_1`."""
        return f"{self.set}_{self.place + 1}"

    def of(self, observed: ModelOutputs) -> Tensor:
        """Its feature map [B, C, T, D], at least float32."""
        return to_float32(observed.features[self.set][self.place])


@dataclass(frozen=True)
class Group:
    """Layers that meet: all of the students with all of the teachers."""

    name: str
    students: tuple[Member, ...]
    teachers: tuple[Member, ...]

    @property
    def chooses(self) -> bool:
        """Whether there is more than one teacher layer, and so anything to weigh."""
        return len(self.teachers) > 1


def groups(shapes: Shapes, method: str, *, apart: bool) -> list[Group]:
    """One group a set (`apart`), or one of all sets, called `all`. Masks are left out.

    Raises:
        DistillError: no group has layers of both networks, or frames differ within one.

    """
    students, teachers = _members(shapes.student), _members(shapes.teacher)
    if apart:
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
        raise DistillError(
            f"{method} finds no layers to compare: name layers of more than {MASK_CHANNELS} channels "
            "in both networks"
        )
    for group in found:
        _check_frames(group, method)
    return found


def scale_of(variances: Tensor) -> Tensor:
    """Standard deviation of each channel from its variance, floored (see `LEAST_VARIANCE`); 1 if none varies."""
    floored = torch.maximum(variances, LEAST_VARIANCE * variances.mean())
    # The root is taken of 1 where nothing varies: its derivative at 0 is infinite.
    return floored.masked_fill(floored <= 0, 1.0).sqrt()


class Standardise(nn.Module):
    """Constant maps [B, C, T, D] → mean 0 and variance 1 in each channel, by statistics that run over batches."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.means, self.variances = RunningAverage(channels), RunningAverage(channels)

    def forward(self, feature: Tensor) -> Tensor:
        """Of a batch. Not for what carries gradients: the statistics are cut from the graph."""
        variance, mean = torch.var_mean(feature, (0, 2, 3), correction=0)
        mean, scale = self.means(mean), scale_of(self.variances(variance))
        standard: Tensor = (feature - mean[:, None, None]) / scale[:, None, None]
        return standard


def _members(side: Mapping[str, tuple[Layer, ...]]) -> list[Member]:
    return [
        Member(name, place, layer)
        for name, layers in side.items()
        for place, layer in enumerate(layers)
        if layer.channels > MASK_CHANNELS
    ]


def _check_frames(group: Group, method: str) -> None:
    members: Sequence[Member] = (*group.students, *group.teachers)
    first = members[0].layer
    for member in members:
        if member.layer.frames != first.frames:
            raise DistillError(
                f"{method} compares frames one by one, but layer '{first.name}' has {first.frames} and "
                f"'{member.layer.name}' has {member.layer.frames}; tap layers with the same number of frames"
            )
