"""Tap sets of a distillation: from the arguments of a `Distiller`, or from the default taps of both networks."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from torch import nn

from stillwave.distill.method import DistillError
from stillwave.errors import nearest
from stillwave.schema import TapSet

TapNames = Mapping[str, TapSet | tuple[Sequence[str], Sequence[str]]]
"""Tap sets by name: the layers of the student and of the teacher."""
TapSets = dict[str, tuple[tuple[str, ...], tuple[str, ...]]]


def tap_sets(taps: TapNames | None, student: nn.Module, teacher: nn.Module) -> TapSets:
    """Return the tap sets, by default those of `default_taps()`. Raise DistillError if they are invalid."""
    if taps is None:
        return _default_sets(student, teacher)
    if not isinstance(taps, Mapping):
        raise DistillError(
            f"taps: expected {{'set': (student layers, teacher layers)}}, got {type(taps).__name__}"
        )
    sets = {}
    for name, tap_set in taps.items():
        pair = (tap_set.student, tap_set.teacher) if isinstance(tap_set, TapSet) else tap_set
        if not _two_lists(pair):
            raise DistillError(f"set '{name}' must be two lists of layers: (student layers, teacher layers)")
        sets[name] = tuple(pair[0]), tuple(pair[1])
        for side, layers in zip(("student", "teacher"), sets[name], strict=True):
            if not layers:
                raise DistillError(f"set '{name}' has no {side} layer; name at least one of each network")
    if not sets:
        raise DistillError(
            "taps contains no set; pass at least one, such as {'encoder': (student layers, teacher layers)}"
        )
    return sets


def _two_lists(pair: Any) -> bool:
    return (
        isinstance(pair, Sequence)
        and len(pair) == 2
        and all(isinstance(side, Sequence) and not isinstance(side, str) for side in pair)
        and all(isinstance(layer, str) for side in pair for layer in side)
    )


def _default_sets(student: nn.Module, teacher: nn.Module) -> TapSets:
    for role, network in (("student", student), ("teacher", teacher)):
        if not hasattr(network, "default_taps"):
            raise DistillError(
                f"the {role} ({type(network).__name__}) has no default_taps(); "
                "pass taps={'set': (student layers, teacher layers)}"
            )
    of_student, of_teacher = student.default_taps(), teacher.default_taps()  # type: ignore[operator]
    for name in {**of_student, **of_teacher}:
        if name not in of_student or name not in of_teacher:
            side = "student" if name not in of_student else "teacher"
            known = of_student if side == "student" else of_teacher
            raise DistillError(
                f"the {side}'s default taps have no set '{name}'; {nearest(name, known)}; pass taps"
            )
    return tap_sets({name: (of_student[name], of_teacher[name]) for name in of_student}, student, teacher)
