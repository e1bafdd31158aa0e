"""Which layer of the student meets which of the teacher, for methods that compare layers one to one."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass

from torch import Tensor
from torch.nn import functional as F  # noqa: N812

from stillwave.distill.method import DistillError, Layer, ModelOutputs, Shapes, to_float32

MASK_CHANNELS = 2
"""A layer of at most this many channels is taken for the mask, which is the output's matter."""


@dataclass(frozen=True)
class LayerPair:
    """One student layer and one teacher layer: their set, their places in it, their shapes."""

    set: str
    i: int
    j: int
    student: Layer
    teacher: Layer

    @property
    def label(self) -> str:
        """For names of losses, such as `encoder_1`."""
        return f"{self.set}_{self.i + 1}"


def one_to_one(shapes: Shapes, sets: Collection[str] | None = None) -> list[LayerPair]:
    """Student layer i (from 1) of n meets teacher layer ⌈i·m/n⌉ of m in its set: the last meets the last.

    Masks (see `MASK_CHANNELS`) are left out. `sets`: only those. Raises DistillError if nothing is left.
    """
    pairs = [
        LayerPair(name, i, j, students[i], shapes.teacher[name][j])
        for name, students in shapes.student.items()
        if sets is None or name in sets
        for i in range(len(students))
        for j in [-(-(i + 1) * len(shapes.teacher[name]) // len(students)) - 1]
        if min(students[i].channels, shapes.teacher[name][j].channels) > MASK_CHANNELS
    ]
    if not pairs:
        where = "taps" if sets is None else f"sets {', '.join(sets)}"
        raise DistillError(
            f"the {where} hold no pair of layers to compare: name layers of more than {MASK_CHANNELS} channels "
            "in both networks"
        )
    return pairs


def check_frames(pairs: Sequence[LayerPair], method: str) -> None:
    """Raise DistillError, naming the layers, for a pair of unequal frame rates."""
    for pair in pairs:
        if pair.student.frames != pair.teacher.frames:
            raise DistillError(
                f"{method} compares frames one by one, but student layer '{pair.student.name}' has "
                f"{pair.student.frames} and teacher layer '{pair.teacher.name}' has {pair.teacher.frames}; "
                "tap layers with the same number of frames"
            )


def features(
    pairs: Sequence[LayerPair], student: ModelOutputs, teacher: ModelOutputs
) -> Iterator[tuple[Tensor, Tensor]]:
    """The feature maps [B, C, T, D] of each pair, at least float32; the teacher's detached."""
    for pair in pairs:
        yield (
            to_float32(student.features[pair.set][pair.i]),
            to_float32(teacher.features[pair.set][pair.j].detach()),
        )


def same_bins(student: Tensor, teacher: Tensor) -> tuple[Tensor, Tensor]:
    """Both with the smaller number of bins: the larger one's are averaged (adaptive pooling). Frames stay."""
    bins = min(student.shape[3], teacher.shape[3])
    return pool_bins(student, bins), pool_bins(teacher, bins)


def pool_bins(feature: Tensor, bins: int) -> Tensor:
    """[B, C, T, D] → [B, C, T, bins] by averaging neighbours."""
    if feature.shape[3] == bins:
        return feature
    return F.adaptive_avg_pool2d(feature, (feature.shape[2], bins))
