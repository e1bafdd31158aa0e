"""Layer pairs: which student layer is compared with which teacher layer."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Literal

from torch import Tensor
from torch.nn import functional as F  # noqa: N812

from stillwave.distill.method import DistillError, Layer, ModelOutputs, Shapes, to_float32

MASK_CHANNELS = 2
"""A layer with at most this many channels is a mask; most methods leave it out."""


@dataclass(frozen=True)
class LayerPair:
    """A student layer and a teacher layer of one tap set, with their indices in it."""

    set: str
    i: int
    j: int
    student: Layer
    teacher: Layer

    @property
    def label(self) -> str:
        """Name of the loss, such as `encoder_1`."""
        return f"{self.set}_{self.i + 1}"


def counterparts(n: int, m: int) -> list[tuple[int, int]]:
    """Return (i, ⌈(i+1)·m/n⌉ − 1) for each of n layers: the last of n corresponds to the last of m.

    Examples:
        >>> counterparts(3, 3), counterparts(1, 4), counterparts(4, 2)
        ([(0, 0), (1, 1), (2, 2)], [(0, 3)], [(0, 0), (1, 0), (2, 1), (3, 1)])

    """
    return [(i, -(-(i + 1) * m // n) - 1) for i in range(n)]


def one_to_one(shapes: Shapes, sets: Collection[str] | None = None) -> list[LayerPair]:
    """Return one pair for each student layer, with its counterpart of the same set. Masks are left out.

    Raises DistillError if there is no pair.
    """
    pairs = [
        LayerPair(name, i, j, students[i], shapes.teacher[name][j])
        for name, students in shapes.student.items()
        if sets is None or name in sets
        for i, j in counterparts(len(students), len(shapes.teacher[name]))
        if min(students[i].channels, shapes.teacher[name][j].channels) > MASK_CHANNELS
    ]
    if not pairs:
        raise no_layers("taps" if sets is None else f"sets {', '.join(sets)}")
    return pairs


def bottleneck_pair(shapes: Shapes, where: Literal["middle", "encoder"]) -> LayerPair:
    """Return the last pair of the set of that name.

    If no set has the name: for `middle` of the set in the middle of the network (of two, the first), for `encoder` of
    the first set.
    """
    pairs = one_to_one(shapes)
    sets = list(dict.fromkeys(pair.set for pair in pairs))
    fallback = sets[(len(sets) - 1) // 2] if where == "middle" else sets[0]
    name = where if where in sets else fallback
    return [pair for pair in pairs if pair.set == name][-1]


def bottleneck_pairs(pairs: Sequence[LayerPair]) -> list[LayerPair]:
    """Return the pair of each set nearest to the bottleneck: the last; of a set named `decoder`, the first."""
    by_set: dict[str, list[LayerPair]] = {}
    for pair in pairs:
        by_set.setdefault(pair.set, []).append(pair)
    return [group[0] if name == "decoder" else group[-1] for name, group in by_set.items()]


def no_layers(where: str) -> DistillError:
    """Return the error for taps without layers that can be compared."""
    return DistillError(
        f"{where}: no layers to compare; name layers of more than {MASK_CHANNELS} channels in both networks"
    )


def check_frames(layers: Iterable[Layer], what: str) -> None:
    """Raise DistillError, naming a method or set (`what`), if layers differ in their number of frames."""
    first, *others = layers
    for layer in others:
        if layer.frames != first.frames:
            raise _unequal_frames(what, f"layer '{first.name}'", first, f"'{layer.name}'", layer)


def check_pairs(pairs: Iterable[LayerPair], method: str) -> None:
    """Raise DistillError if the layers of a pair differ in their number of frames."""
    for pair in pairs:
        one, other = pair.student, pair.teacher
        if one.frames != other.frames:
            raise _unequal_frames(
                method, f"student layer '{one.name}'", one, f"teacher layer '{other.name}'", other
            )


def _unequal_frames(what: str, name: str, layer: Layer, other_name: str, other: Layer) -> DistillError:
    return DistillError(
        f"{what} compares frames one by one, but {name} has {layer.frames} and {other_name} has {other.frames}; "
        "tap layers with the same number of frames"
    )


def features(
    pairs: Sequence[LayerPair], student: ModelOutputs, teacher: ModelOutputs
) -> Iterator[tuple[Tensor, Tensor]]:
    """Yield the feature maps [B, C, T, D] of each pair, at least float32; the teacher's are detached."""
    for pair in pairs:
        yield (
            to_float32(student.features[pair.set][pair.i]),
            to_float32(teacher.features[pair.set][pair.j].detach()),
        )


def same_bins(student: Tensor, teacher: Tensor) -> tuple[Tensor, Tensor]:
    """Average the feature map with more bins to the number of bins of the other."""
    bins = min(student.shape[3], teacher.shape[3])
    return pool_bins(student, bins), pool_bins(teacher, bins)


def pool_bins(feature: Tensor, bins: int) -> Tensor:
    """Average adjacent bins: [B, C, T, D] → [B, C, T, bins]."""
    if feature.shape[3] == bins:
        return feature
    return F.adaptive_avg_pool2d(feature, (feature.shape[2], bins))
