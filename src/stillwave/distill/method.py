"""The interface of distillation methods, and their registry.

A method is an `nn.Module`: it maps the outputs of student and teacher to named scalar losses. Its parameters are
the connectors. It does not read files, does not depend on processes or optimisers, and does not modify its inputs.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any, ClassVar, Literal, TypeVar

import torch
from pydantic import ValidationError
from torch import Tensor, nn

from stillwave.errors import StillwaveError, nearest
from stillwave.schema import Frozen, LossConfig
from stillwave.schema.methods import VARIANTS


class DistillError(StillwaveError):
    """Layers, tap sets or options of a distillation are invalid or do not match."""


@dataclass(frozen=True)
class Layer:
    """Shape of the feature map of one tap, [B, channels, frames, bins].

    Attributes:
        name: The tap, such as `encoder.0` or `gru:btc`.
        channels: Channels C.
        frames: Frames T, for the example that the shapes were measured with.
        bins: Frequency bins D; 1 if the layer has no frequency axis.
        parameters: Number of parameters of the tapped layer.

    """

    name: str
    channels: int
    frames: int
    bins: int
    parameters: int = 0


@dataclass(frozen=True)
class Shapes:
    """What a method needs at construction.

    Attributes:
        batch: Number of examples B of the global batch, over all processes.
        student: The student's layers by tap set, in network order.
        teacher: The teacher's layers by tap set, in network order.
        loss: Configuration of the enhancement loss L_SE of the training.

    """

    batch: int
    student: Mapping[str, tuple[Layer, ...]]
    teacher: Mapping[str, tuple[Layer, ...]]
    loss: LossConfig = field(default_factory=LossConfig)


@dataclass(frozen=True)
class ModelOutputs:
    """Outputs of one network for one batch.

    Attributes:
        features: Feature maps [B, C, T, D] by tap set, in network order.
        estimate: Output of the network; [B, N] or [B, M, N] for methods that compare estimates.

    """

    features: Mapping[str, list[Tensor]]
    estimate: Tensor


@dataclass(frozen=True)
class BatchInputs:
    """Input signals of one batch.

    Attributes:
        noisy: Input of both networks, [B, N], or [B, M, N] for M microphones.
        clean: Clean reference, [B, N], or None.

    """

    noisy: Tensor
    clean: Tensor | None = None


class Method(nn.Module, ABC):
    """Base class of distillation methods.

    A subclass defines `build` and `losses`, and sets the class attributes that apply. Its trainable parameters are the
    connectors: they are trained with the student and dropped at export.

    Attributes:
        Config: Pydantic model of the options; needed only to select the method by name.
        title: One line: what is compared, and the source.
        uses_features: Whether layers are compared. If not, no layer is tapped.
        uses_estimate: Whether estimates or input signals are compared. If so, both are gathered over processes, like
            the features.
        uses_clean: Whether `BatchInputs.clean` is required.
        published_weight: λ of the publication, tuned for another task loss; None if unknown.
        schedule: `joint`, or `two_step`: distillation first, then the enhancement loss alone.
        first_step: Fraction of the updates in the first of two steps.
        warmup: Fraction of the updates during which λ rises linearly from 0.

    Examples:
        A method that compares the energy of each frame:

        >>> class FrameEnergy(Method):
        ...     title = "energy of the frames"
        ...
        ...     @classmethod
        ...     def build(cls, config, shapes):
        ...         return cls()
        ...
        ...     def losses(self, student, teacher, inputs):
        ...         def energy(feature):  # [B, C, T, D] -> [B, T]
        ...             return feature.square().mean((1, 3))
        ...
        ...         pairs = zip(student.features["encoder"], teacher.features["encoder"])
        ...         return {"energy": sum((energy(s) - energy(t)).abs().mean() for s, t in pairs)}
        >>> student = ModelOutputs({"encoder": [torch.full((2, 4, 10, 8), 2.0)]}, torch.zeros(2, 160))
        >>> teacher = ModelOutputs({"encoder": [torch.full((2, 16, 10, 8), 1.0)]}, torch.zeros(2, 160))
        >>> FrameEnergy()(student, teacher, BatchInputs(torch.zeros(2, 160)))
        {'energy': tensor(3.)}

        `Distiller(teacher, student, FrameEnergy(), …)` uses it; `register` makes it available by name.

    """

    Config: ClassVar[type[Frozen]]
    title: ClassVar[str] = ""
    uses_features: ClassVar[bool] = True
    uses_estimate: ClassVar[bool] = False
    uses_clean: bool = False
    published_weight: ClassVar[float | None] = None
    schedule: ClassVar[Literal["joint", "two_step"]] = "joint"
    first_step: ClassVar[float] = 0.25
    warmup: ClassVar[float] = 0.0

    @classmethod
    @abstractmethod
    def build(cls, config: Any, shapes: Shapes) -> Method:
        """Create the method.

        Args:
            config: An instance of `Config`.
            shapes: Layers of both networks, batch size and enhancement loss.

        Raises:
            DistillError: The layers do not match or an option is invalid.

        """

    @abstractmethod
    def losses(self, student: ModelOutputs, teacher: ModelOutputs, inputs: BatchInputs) -> dict[str, Tensor]:
        """Return the losses of one batch.

        Args:
            student: Outputs of the student.
            teacher: Outputs of the teacher; no gradient flows into them.
            inputs: Input signals of the batch.

        Returns:
            Scalar losses by name, float32 or float64, including their weights. Their sum is L_KD.

        """

    def forward(self, student: ModelOutputs, teacher: ModelOutputs, inputs: BatchInputs) -> dict[str, Tensor]:
        """Return `losses(student, teacher, inputs)`."""
        return self.losses(student, teacher, inputs)


METHODS: dict[str, type[Method]] = {}
"""Registered methods by name."""
M = TypeVar("M", bound=type[Method])


def register(name: str) -> Callable[[M], M]:
    """Return a class decorator that registers a method under a name.

    The name can then be used in `Distiller(…, method=name)`. Recipes accept only the methods of this package.

    Args:
        name: The name; an existing method of this name is replaced.

    Examples:
        >>> from typing import Literal
        >>> class OwnConfig(Frozen):
        ...     name: Literal["own"] = "own"
        >>> @register("own")
        ... class Own(Method):
        ...     Config = OwnConfig
        ...
        ...     @classmethod
        ...     def build(cls, config, shapes):
        ...         return cls()
        ...
        ...     def losses(self, student, teacher, inputs):
        ...         return {"mean": (student.estimate - teacher.estimate).abs().mean()}
        >>> resolve_method("own") is METHODS.pop("own")
        True

    """

    def add(cls: M) -> M:
        METHODS[name] = cls
        return cls

    return add


def build(method: str | Frozen | Method, shapes: Shapes) -> Method:
    """Return a method from its name, its configuration, or itself.

    Raises:
        DistillError: The name is unknown, or the layers do not match.

    """
    if isinstance(method, Method):
        return method
    cls = resolve_method(method)
    config = _configured(cls, method) if isinstance(method, str) else method
    if not isinstance(config, cls.Config):
        wrong = type(config).__name__
        raise DistillError(f"{cls.__name__}: expected a {cls.Config.__name__}, got a {wrong}")
    return cls.build(config, shapes)


def resolve_method(method: str | Frozen | Method) -> type[Method]:
    """Return the class of a method given by its name, a variant's name, its configuration or itself."""
    if isinstance(method, Method):
        return type(method)
    name = method if isinstance(method, str) else str(getattr(method, "name", type(method).__name__))
    name = VARIANTS.get(name, {}).get("name", name)
    if name not in METHODS:
        raise DistillError(f"unknown distillation method '{name}'; {nearest(name, [*METHODS, *VARIANTS])}")
    return METHODS[name]


def _configured(cls: type[Method], name: str) -> Frozen:
    try:
        return cls.Config(**VARIANTS.get(name, {}))
    except ValidationError as error:
        keys = ", ".join(".".join(str(part) for part in fault["loc"]) for fault in error.errors())
        raise DistillError(f"method '{name}' has no defaults for {keys}; pass its configuration") from None


def to_float32(feature: Tensor) -> Tensor:
    """Convert to float32, since Gram matrices overflow in half precision. float64 is returned as it is."""
    return feature if feature.dtype == torch.float64 else feature.float()


@contextmanager
def full_precision(device: torch.device) -> Iterator[None]:
    """Disable autocast."""
    with torch.autocast(device.type, enabled=False):
        yield
