"""The contract of every distillation method: tensors in, named scalar losses out.

A method is an `nn.Module` that owns its connectors (whatever it trains besides the student), knows nothing of
files, processes or optimisers, and changes nothing that it is given.
"""

from __future__ import annotations

import functools
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any, ClassVar, Literal, TypeVar

import torch
from pydantic import ValidationError
from torch import Tensor, nn
from torch.autograd.function import once_differentiable

from stillwave.errors import StillwaveError, nearest
from stillwave.schema import Frozen, LossConfig
from stillwave.schema.methods import VARIANTS


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
    """What a method is built for: the layers of each set, in network order, the global batch, and L_SE."""

    batch: int
    student: Mapping[str, tuple[Layer, ...]]
    teacher: Mapping[str, tuple[Layer, ...]]
    loss: LossConfig = field(default_factory=LossConfig)
    """The enhancement loss beside which the method works."""


@dataclass(frozen=True)
class ModelOutputs:
    """What one network did with one batch: features [B, C, T, D] by set, and its estimate."""

    features: Mapping[str, list[Tensor]]
    estimate: Tensor


@dataclass(frozen=True)
class BatchInputs:
    """What both networks were given, and what they should make of it; None where that is not known."""

    noisy: Tensor
    """[B, N], or [B, M, N] of several microphones."""
    clean: Tensor | None = None
    """[B, N]"""


class Method(nn.Module, ABC):
    """Base of all methods. Its parameters are the connectors: trained with the student, dropped at export."""

    Config: ClassVar[type[Frozen]]
    title: ClassVar[str] = ""
    """One line: what is compared, and the source."""
    uses_features: ClassVar[bool] = True
    """Whether layers are compared; if not, none is tapped."""
    uses_estimate: ClassVar[bool] = False
    """Whether estimates are looked at; if so they, and `BatchInputs`, are gathered over processes like the features."""
    uses_clean: ClassVar[bool] = False
    """Whether `Given.clean` is looked at."""
    published_weight: ClassVar[float | None] = None
    """λ as printed, tuned beside another loss than ours: for fidelity tests. None: none is known."""
    schedule: ClassVar[Literal["joint", "two_step"]] = "joint"
    first_step: ClassVar[float] = 0.25
    """Share of the updates for the first of two steps."""
    warmup: ClassVar[float] = 0.0
    """Share of the updates over which λ rises from 0."""

    @classmethod
    @abstractmethod
    def build(cls, config: Any, shapes: Shapes) -> Method:
        """Make the method for layers of these shapes. Raises `DistillError` if they do not fit."""

    @abstractmethod
    def losses(self, student: ModelOutputs, teacher: ModelOutputs, given: BatchInputs) -> dict[str, Tensor]:
        """Named scalar losses, float32, already weighted: their sum is L_KD. The teacher gets no gradient."""

    def forward(self, student: ModelOutputs, teacher: ModelOutputs, given: BatchInputs) -> dict[str, Tensor]:
        """As `losses`."""
        return self.losses(student, teacher, given)


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
    cls = resolve_method(method)
    config = _configured(cls, method) if isinstance(method, str) else method
    if not isinstance(config, cls.Config):
        wrong = type(config).__name__
        raise DistillError(f"{cls.__name__} wants a {cls.Config.__name__}, not a {wrong}")
    return cls.build(config, shapes)


def resolve_method(method: str | Frozen | Method) -> type[Method]:
    """The class of a method, from its name, a variant's name, its configuration or itself. Raises DistillError."""
    if isinstance(method, Method):
        return type(method)
    name = method if isinstance(method, str) else str(getattr(method, "name", type(method).__name__))
    name = VARIANTS.get(name, {}).get("name", name)
    if name not in METHODS:
        raise DistillError(
            f"there is no distillation method '{name}'; {nearest(name, [*METHODS, *VARIANTS])}"
        )
    return METHODS[name]


def _configured(cls: type[Method], name: str) -> Frozen:
    try:
        return cls.Config(**VARIANTS.get(name, {}))
    except ValidationError as error:
        keys = ", ".join(".".join(str(part) for part in fault["loc"]) for fault in error.errors())
        raise DistillError(f"method '{name}' has no defaults for {keys}; give its configuration") from None


def to_float32(feature: Tensor) -> Tensor:
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
