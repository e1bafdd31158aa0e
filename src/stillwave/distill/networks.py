"""What makes networks of other kinds than plain modules usable: compiled, scripted, exported, in other precisions."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from typing import Any

import torch
from torch import Tensor, nn

from stillwave.distill.method import DistillError

_COMPILED = "_orig_mod"
"""Under this name a compiled module keeps what it was made of."""


def named_layers(module: nn.Module) -> dict[str, nn.Module]:
    """As `named_modules()`, without the names that `torch.compile` adds: those of the original layers."""
    return {plain_name(name): layer for name, layer in module.named_modules()}


def plain_name(name: str) -> str:
    """A layer's name without what `torch.compile` adds to it."""
    return ".".join(part for part in name.split(".") if part != _COMPILED)


def eager(module: nn.Module, role: str) -> AbstractContextManager[None]:
    """Run compiled networks uncompiled inside, since compiled code calls no hooks; no effect on others.

    Raises DistillError for a compiled network where PyTorch cannot do that.
    """
    if not any(
        name.endswith(_COMPILED) or getattr(layer, "_compiled_call_impl", None) is not None
        for name, layer in module.named_modules()
    ):
        return nullcontext()
    if not hasattr(torch.compiler, "set_stance"):
        raise DistillError(
            f"the {role} is compiled, and PyTorch {torch.__version__} cannot tap the layers of a compiled network; "
            "give the module before torch.compile, or use PyTorch 2.6 or newer"
        )
    return _uncompiled()


@contextmanager
def _uncompiled() -> Iterator[None]:
    with torch.compiler.set_stance("force_eager"):
        yield


def check_tappable(layers: dict[str, nn.Module], layer: str, role: str) -> None:
    """Refuse a layer of a TorchScript module: it runs outside Python, where no hook is called. Raises DistillError."""
    parts = layer.split(".")
    for count in range(len(parts) + 1):
        if isinstance(layers.get(".".join(parts[:count])), torch.jit.ScriptModule):
            raise DistillError(
                f"the {role}'s layer '{layer}' is TorchScript, whose layers cannot be tapped; give the module that was "
                "scripted or traced, or a method that compares estimates ('output', 'dfkd', 'subband', 'dispatch')"
            )


def freeze(network: nn.Module) -> nn.Module:
    """Switch gradients off and evaluation mode on. Raises DistillError for lazy modules that have not run yet."""
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
    """Switch evaluation mode on. A network from `torch.export` has one mode only, and stays as it was exported."""
    try:
        return network.eval()
    except NotImplementedError:
        return network


def first_tensor(output: Any) -> Tensor | None:
    """The first tensor of a network's or layer's output: itself, or in a tuple, a list or a dict."""
    if isinstance(output, Tensor):
        return output
    parts = output.values() if isinstance(output, dict) else output
    if not isinstance(output, (tuple, list, dict)):
        return None
    return next((found for part in parts if (found := first_tensor(part)) is not None), None)


def check_trainable(student: nn.Module) -> None:
    """Refuse parameters that cannot have a gradient. Raises DistillError."""
    for name, parameter in student.named_parameters():
        if parameter.is_inference():
            raise DistillError(
                f"the student's parameter '{name}' was made within torch.inference_mode(), so it cannot be trained; "
                "build the student outside of it"
            )


def check_taught(side: dict[str, Tensor], estimate: Any) -> None:
    """Raise DistillError if what the student gave has no gradient: nothing would be taught there."""
    why = (
        "gives no gradient, so nothing would be taught there: it is frozen, or runs under torch.no_grad() or "
        "torch.utils.checkpoint with use_reentrant=True"
    )
    for name, feature in side.items():
        if not feature.requires_grad:
            raise DistillError(
                f"the student's layer '{name}' {why}; unfreeze it, use use_reentrant=False, or tap another layer"
            )
    if isinstance(estimate, Tensor) and not estimate.requires_grad:
        raise DistillError(f"the student's estimate {why}; unfreeze the student, or use use_reentrant=False")


def precision(student: dict[str, Tensor], teacher: dict[str, Tensor]) -> torch.dtype:
    """What methods must compute in: float64 if all that is compared is float64, else float32.

    Raises DistillError, naming both, if some of it is float64 and some is not.
    """
    kinds = [(f"student's {name}", x.dtype) for name, x in student.items()]
    kinds += [(f"teacher's {name}", x.dtype) for name, x in teacher.items()]
    doubles = [name for name, dtype in kinds if dtype in (torch.float64, torch.complex128)]
    others = [name for name, dtype in kinds if dtype not in (torch.float64, torch.complex128)]
    if doubles and others:
        raise DistillError(
            f"the {doubles[0]} is float64 and the {others[0]} is not; give both networks one precision "
            "(network.float() or network.double())"
        )
    return torch.float64 if doubles else torch.float32


def describe(module: nn.Module, example: tuple[Any, ...]) -> str:
    """Types and shapes of an example and of a network's weights, for messages."""
    given = ", ".join(f"{_short(x.dtype)} {list(x.shape)}" for x in example if isinstance(x, Tensor))
    weights = sorted({_short(p.dtype) for p in module.parameters()})
    return f"{given or type(example[0]).__name__}; its weights are {' and '.join(weights) or 'none'}"


def _short(dtype: torch.dtype) -> str:
    return str(dtype).removeprefix("torch.")
