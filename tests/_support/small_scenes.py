"""All that a method may look at, for one small batch: features, estimates and signals of both networks."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
import toys
from torch import Tensor

from stillwave.distill import BatchInputs, Method, ModelOutputs, Shapes
from stillwave.distill.method import build

Change = Callable[[Tensor], Tensor]


@dataclass(frozen=True)
class Scene:
    student: ModelOutputs
    teacher: ModelOutputs
    noisy: Tensor
    clean: Tensor

    @property
    def given(self) -> BatchInputs:
        return BatchInputs(self.noisy, self.clean)

    @property
    def shapes(self) -> Shapes:
        return toys.shapes(self.student.features, self.teacher.features)

    def changed(self, student: Change, teacher: Change, signals: Change | None = None) -> Scene:
        """What each function makes of each tensor; the signals follow the student."""
        signals = signals or student
        return Scene(
            observed_with(self.student, student),
            observed_with(self.teacher, teacher),
            signals(self.noisy),
            signals(self.clean),
        )

    def each(self, change: Change) -> Scene:
        return self.changed(change, change)

    def attached(self) -> Scene:
        """A copy in which all that the networks made carries gradients, the teacher's too."""
        copy = self.each(lambda x: x.detach().clone())
        for x in [*inputs(copy.student), *inputs(copy.teacher)]:
            x.requires_grad_()
        return copy


def scene(batch: int = 3, frames: int = 7, samples: int = 4000, seed: int = 0) -> Scene:
    """Random features as in `toys`; two estimates at some distance of clean noise, the teacher's the nearer."""
    make = torch.Generator().manual_seed(seed)
    clean, noise, own, theirs = (0.1 * torch.randn(batch, samples, generator=make) for _ in range(4))
    return Scene(
        ModelOutputs(toys.of_student(batch, frames, seed + 1), clean + 0.5 * noise + 0.5 * own),
        ModelOutputs(toys.of_teacher(batch, frames, seed + 2), clean + 0.3 * theirs),
        clean + noise,
        clean,
    )


def twins(**options: int) -> Scene:
    """Student and teacher that do the same."""
    made = scene(**options)
    return Scene(made.student, observed_with(made.student, torch.clone), made.noisy, made.clean)


def observed_with(observed: ModelOutputs, change: Change) -> ModelOutputs:
    features = {name: [change(f) for f in fs] for name, fs in observed.features.items()}
    return ModelOutputs(features, change(observed.estimate))


def inputs(observed: ModelOutputs) -> list[Tensor]:
    return [*(f for fs in observed.features.values() for f in fs), observed.estimate]


def make(name: object, shapes: Shapes, seed: int = 0) -> Method:
    """A method with every connector moved off its first value, so that none is 0 by chance."""
    torch.manual_seed(seed)
    built = build(name, shapes)
    with torch.no_grad():
        for parameter in built.parameters():
            parameter.add_(0.05 * torch.randn_like(parameter))
    return built


def losses(built: Method, what: Scene) -> dict[str, Tensor]:
    return built(what.student, what.teacher, what.given)


def total(built: Method, what: Scene) -> Tensor:
    return torch.stack(list(losses(built, what).values())).sum()
