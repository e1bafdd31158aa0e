"""Support for compiled, scripted and exported networks, and checks of the networks of a distillation."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from typing import Any

import torch
from torch import Tensor, nn

from stillwave.distill.method import DistillError

_COMPILED = "_orig_mod"
"""Attribute under which a compiled module keeps the original module."""


def named_layers(module: nn.Module) -> dict[str, nn.Module]:
    """Return `module.named_modules()` with the names of the original layers if the module is compiled."""
    return {plain_name(name): layer for name, layer in module.named_modules()}


def plain_name(name: str) -> str:
    """Remove the parts that `torch.compile` adds to the name of a layer."""
    return ".".join(part for part in name.split(".") if part != _COMPILED)


def eager(module: nn.Module, role: str) -> AbstractContextManager[None]:
    """Return a context that runs compiled networks uncompiled, since compiled code does not call hooks.

    Raises:
        DistillError: The network is compiled and PyTorch is older than 2.6.

    """
    if not any(
        name.endswith(_COMPILED) or getattr(layer, "_compiled_call_impl", None) is not None
        for name, layer in module.named_modules()
    ):
        return nullcontext()
    if not hasattr(torch.compiler, "set_stance"):
        raise DistillError(
            f"the {role} is compiled, and PyTorch {torch.__version__} cannot tap the layers of a compiled network; "
            "pass the module without torch.compile, or use PyTorch 2.6 or newer"
        )
    return _uncompiled()


@contextmanager
def _uncompiled() -> Iterator[None]:
    with torch.compiler.set_stance("force_eager"):
        yield


def check_tappable(layers: dict[str, nn.Module], layer: str, role: str) -> None:
    """Raise DistillError for a layer of a TorchScript module, which does not call hooks."""
    parts = layer.split(".")
    for count in range(len(parts) + 1):
        if isinstance(layers.get(".".join(parts[:count])), torch.jit.ScriptModule):
            raise DistillError(
                f"the {role}'s layer '{layer}' is TorchScript, whose layers cannot be tapped; pass the module that was "
                "scripted or traced, or use a method that compares estimates ('output', 'dfkd', 'subband', 'dispatch')"
            )


def freeze(network: nn.Module) -> nn.Module:
    """Disable gradients and enable evaluation mode. Raise DistillError for parameters without values."""
    for name, parameter in network.named_parameters():
        if isinstance(parameter, nn.parameter.UninitializedParameter):
            raise DistillError(
                f"the teacher's parameter '{name}' has no values yet (a lazy module); load its weights first"
            )
        if parameter.is_meta:
            raise DistillError(
                f"the teacher's parameter '{name}' has no values (it is on the meta device); load its weights first"
            )
        parameter.requires_grad_(False)
    return evaluating(network)


def evaluating(network: nn.Module) -> nn.Module:
    """Enable evaluation mode, except for a network from `torch.export`, which has one mode only."""
    try:
        return network.eval()
    except NotImplementedError:
        return network


def first_tensor(output: Any) -> Tensor | None:
    """Return an output itself, or the first tensor of a tuple, list or dict; None if there is none."""
    if isinstance(output, Tensor):
        return output
    parts = output.values() if isinstance(output, dict) else output
    if not isinstance(output, (tuple, list, dict)):
        return None
    return next((found for part in parts if (found := first_tensor(part)) is not None), None)


def check_disjoint(teacher: nn.Module, student: nn.Module) -> None:
    """Raise DistillError if the networks share parameters."""
    frozen = {id(p) for p in teacher.parameters()}
    if teacher is student or any(id(p) in frozen for p in student.parameters()):
        raise DistillError(
            "teacher and student share parameters, so freezing the teacher would freeze the student; copy it"
        )


def check_trainable(student: nn.Module) -> None:
    """Raise DistillError for parameters that cannot have a gradient."""
    for name, parameter in student.named_parameters():
        if parameter.is_inference():
            raise DistillError(
                f"the student's parameter '{name}' was made within torch.inference_mode(), so it cannot be trained; "
                "build the student outside it"
            )


def check_gradients(features: dict[str, Tensor], estimate: Any) -> None:
    """Raise DistillError if a compared output of the student has no gradient."""
    cause = (
        "gives no gradient, so the distillation cannot train it: it is frozen, or runs under torch.no_grad() or "
        "torch.utils.checkpoint with use_reentrant=True"
    )
    for name, feature in features.items():
        if not feature.requires_grad:
            raise DistillError(
                f"the student's layer '{name}' {cause}; unfreeze it, use use_reentrant=False, or tap another layer"
            )
    if isinstance(estimate, Tensor) and not estimate.requires_grad:
        raise DistillError(
            f"the student's estimate {cause}; unfreeze the student, or use use_reentrant=False"
        )


def precision(student: dict[str, Tensor], teacher: dict[str, Tensor]) -> torch.dtype:
    """Return float64 if all compared tensors are float64, else float32. Raise DistillError if some are."""
    kinds = [(f"student's {name}", x.dtype) for name, x in student.items()]
    kinds += [(f"teacher's {name}", x.dtype) for name, x in teacher.items()]
    doubles = [name for name, dtype in kinds if dtype in (torch.float64, torch.complex128)]
    others = [name for name, dtype in kinds if dtype not in (torch.float64, torch.complex128)]
    if doubles and others:
        raise DistillError(
            f"the {doubles[0]} is float64 and the {others[0]} is not; use one precision for both networks "
            "(network.float() or network.double())"
        )
    return torch.float64 if doubles else torch.float32


def describe(module: nn.Module, example: tuple[Any, ...]) -> str:
    """Return dtypes and shapes of an example and of a network's weights as text."""
    inputs = ", ".join(f"{_short(x.dtype)} {list(x.shape)}" for x in example if isinstance(x, Tensor))
    weights = sorted({_short(p.dtype) for p in module.parameters()})
    return f"{inputs or type(example[0]).__name__}; its weights are {' and '.join(weights) or 'none'}"


def _short(dtype: torch.dtype) -> str:
    return str(dtype).removeprefix("torch.")
