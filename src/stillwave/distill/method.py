"""The contract of every distillation method: tensors in, named scalar losses out.

A method is an `nn.Module` that owns its connectors (whatever it trains besides the student), knows nothing of
files, processes or optimisers, and changes nothing that it is given.
"""

from __future__ import annotations

import functools
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, ClassVar, TypeVar

import torch
from pydantic import ValidationError
from torch import Tensor, nn
from torch.autograd.function import once_differentiable

from stillwave.errors import StillwaveError, nearest
from stillwave.schema import Frozen


class DistillError(StillwaveError):
    """Layers, sets or options of a distillation that do not fit together."""


@dataclass(frozen=True)
class Layer:
    """Shape of one tapped feature map [B, channels, frames, bins]; `parameters`: the tapped module's."""

    name: str
    channels: int
    frames: int
    bins: int
    parameters: int = 0


@dataclass(frozen=True)
class Shapes:
    """What a method is built for: the layers of each set, in network order, and the global batch."""

    batch: int
    student: Mapping[str, tuple[Layer, ...]]
    teacher: Mapping[str, tuple[Layer, ...]]


@dataclass(frozen=True)
class Observed:
    """What one network did with one batch: features [B, C, T, D] by set, and its estimate."""

    features: Mapping[str, list[Tensor]]
    estimate: Tensor


class Method(nn.Module, ABC):
    """Base of all methods. Its parameters are the connectors: trained with the student, dropped at export."""

    Config: ClassVar[type[Frozen]]
    uses_estimate: ClassVar[bool] = False
    """Whether `Observed.estimate` is looked at; if so it is gathered over processes like the features."""

    @classmethod
    @abstractmethod
    def build(cls, config: Frozen, shapes: Shapes) -> Method:
        """Make the method for layers of these shapes. Raises `DistillError` if they do not fit."""

    @abstractmethod
    def losses(self, student: Observed, teacher: Observed) -> dict[str, Tensor]:
        """Named scalar losses, float32, already weighted: their sum is L_KD. The teacher gets no gradient."""

    def forward(self, student: Observed, teacher: Observed) -> dict[str, Tensor]:
        """As `losses`."""
        return self.losses(student, teacher)


METHODS: dict[str, type[Method]] = {}
M = TypeVar("M", bound=type[Method])


def register(name: str) -> Callable[[M], M]:
    """Class decorator: make a method known by name."""

    def add(cls: M) -> M:
        METHODS[name] = cls
        return cls

    return add


def build(method: str | Frozen | Method, shapes: Shapes) -> Method:
    """A method from its name (default options), its configuration, or itself.

    Raises:
        DistillError: unknown name (with the nearest known ones), or layers that do not fit.

    """
    if isinstance(method, Method):
        return method
    name = method if isinstance(method, str) else str(getattr(method, "name", type(method).__name__))
    if name not in METHODS:
        raise DistillError(f"there is no distillation method '{name}'; {nearest(name, METHODS)}")
    cls = METHODS[name]
    return cls.build(_default(cls, name) if isinstance(method, str) else method, shapes)


def _default(cls: type[Method], name: str) -> Frozen:
    try:
        return cls.Config()
    except ValidationError as error:
        keys = ", ".join(".".join(str(part) for part in fault["loc"]) for fault in error.errors())
        raise DistillError(f"method '{name}' has no defaults for {keys}; give its configuration") from None


def full(feature: Tensor) -> Tensor:
    """At least float32: Gram matrices of 64·64-dimensional rows overflow half precision."""
    return feature if feature.dtype == torch.float64 else feature.float()


@contextmanager
def full_precision(device: torch.device) -> Iterator[None]:
    """No autocast inside."""
    with torch.autocast(device.type, enabled=False):
        yield


def full_backward(backward: Callable[..., Any]) -> Callable[..., Any]:
    """For the `backward` of a `torch.autograd.Function`: once differentiable, and no autocast inside."""

    @functools.wraps(backward)
    def run(ctx: Any, *gradients: Any) -> Any:
        with full_precision(ctx.saved_tensors[0].device):
            return backward(ctx, *gradients)

    wrapped: Callable[..., Any] = once_differentiable(run)
    return wrapped
