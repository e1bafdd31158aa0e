"""Taps: features of any `nn.Module`, taken by naming its layers. The module is not edited.

A tap is written `layer`, `layer:layout`, `layer@k` or `layer@k:layout`:

- `layer`: a name of `module.named_modules()`; its output is tapped (the first tensor of a tuple, as for a
  GRU);
- `@k`: the k-th call, from 1, for a layer that is called several times in one forward pass;
- `layout`: what the output's axes are, one letter each: `b` example, `c` channel, `t` frame, `d` bin. An
  absent `c` or `d` has size 1. A 4-D output is `bctd` unless told; a 3-D one must be told (`btc` for a
  batch-first GRU).

Whatever the layout, features come out as [B, C, T, D]; complex ones as real with 2·C channels (real parts
first).
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils.hooks import RemovableHandle

from stillwave.distill.method import DistillError, Layer
from stillwave.distill.networks import (
    check_tappable,
    describe,
    eager,
    evaluating,
    first_tensor,
    named_layers,
    plain_name,
)
from stillwave.errors import StillwaveError, nearest

AXES = "bctd"
_TAP = re.compile(r"(?P<layer>[^@:]+)(@(?P<call>[0-9]+))?(:(?P<layout>[a-z]+))?")


@dataclass(frozen=True)
class Tap:
    """One parsed tap."""

    text: str
    layer: str
    call: int | None
    layout: str | None

    @classmethod
    def parse(cls, text: str) -> Tap:
        """Raises `DistillError` if `text` does not read as a tap."""
        match = _TAP.fullmatch(text)
        if match is None or match["call"] == "0":
            raise DistillError(f"tap '{text}' does not read as layer, layer:layout or layer@k (k from 1)")
        layout = match["layout"]
        if layout and (
            set(layout) - set(AXES) or len(set(layout)) < len(layout) or not {"b", "t"} <= set(layout)
        ):
            raise DistillError(
                f"tap '{text}': layout '{layout}' must hold b and t, and may hold c and d, "
                "each once (such as btc)"
            )
        return cls(text, plain_name(match["layer"]), int(match["call"]) if match["call"] else None, layout)


@dataclass
class _Call:
    """What a hook saw: the wanted call's output, and how many calls there were."""

    output: Tensor | None = None
    version: int = 0
    count: int = 0


class Taps:
    """Named layers of one module, whose outputs can be recorded.

    Args:
        module: any network.
        names: taps, see the module's head.
        role: what messages call the module (`student`, `teacher`).

    Raises:
        DistillError: a layer that does not exist (with the nearest that do), or a tap that does not read.

    """

    def __init__(self, module: nn.Module, names: Iterable[str], role: str = "network") -> None:
        self.module = module
        self.role = role
        self.taps = {name: Tap.parse(name) for name in names}
        known = named_layers(module)
        for tap in self.taps.values():
            if tap.layer not in known:
                hint = nearest(tap.layer, (name for name in known if name))
                raise DistillError(f"the {role} has no layer '{tap.layer}'; {hint}")
            check_tappable(known, tap.layer, role)

    @contextmanager
    def record(self) -> Iterator[dict[str, Tensor]]:
        """Run one forward pass inside; afterwards the yielded dict maps each tap to its feature [B, C, T, D].

        A compiled network runs uncompiled inside, if there are taps: compiled code calls no hooks.

        Raises:
            DistillError: on leaving, if a layer was not called, was called several times, gave something that
                cannot be read as [B, C, T, D], or was changed in place by a later layer.

        """
        features: dict[str, Tensor] = {}
        calls = {name: _Call() for name in self.taps}
        modules = named_layers(self.module)
        handles: list[RemovableHandle] = []
        try:
            for name, tap in self.taps.items():
                handles.append(modules[tap.layer].register_forward_hook(_hook(tap, calls[name])))
            with eager(self.module, self.role) if self.taps else nullcontext():
                yield features
        finally:
            for handle in handles:
                handle.remove()
        for name, tap in self.taps.items():
            features[name] = self._arrange(tap, self._output(tap, calls[name]))

    def shapes(self, *example: Any, **options: Any) -> dict[str, Layer]:
        """Shape of each tap, as found by `dry_run`."""
        return self.layers(self.dry_run(*example, **options)[0])

    def dry_run(self, *example: Any, **options: Any) -> tuple[dict[str, Tensor], Any]:
        """Feature of each tap and the output: evaluation mode, no gradient, random state and modes put back.

        Raises:
            DistillError: as `record`, if the network cannot run on the example, or if the first axis of a feature is
                not the batch of the first argument.

        """
        with _dry(self.module), self.record() as features:
            try:
                output = self.module(*example, **options)
            except StillwaveError:
                raise
            except Exception as error:  # whatever the network itself raises
                reason = (str(error).splitlines() or [type(error).__name__])[0]
                raise DistillError(
                    f"the {self.role} cannot run on the example ({describe(self.module, example)}): {reason}"
                ) from error
        for name, feature in features.items():
            self._check_batch(name, feature, example)
        return features, output

    def layers(self, features: dict[str, Tensor]) -> dict[str, Layer]:
        """The shapes of these features."""
        modules = named_layers(self.module)
        sizes = {
            name: sum(p.numel() for p in modules[tap.layer].parameters()) for name, tap in self.taps.items()
        }
        return {
            name: Layer(name, feature.shape[1], feature.shape[2], feature.shape[3], sizes[name])
            for name, feature in features.items()
        }

    def _check_batch(self, name: str, feature: Tensor, example: tuple[Any, ...]) -> None:
        if example and isinstance(example[0], Tensor) and feature.shape[0] != example[0].shape[0]:
            raise DistillError(
                f"the {self.role}'s layer '{name}' gave {feature.shape[0]} examples "
                f"for {example[0].shape[0]}; check its layout (b is the axis of examples)"
            )

    def _output(self, tap: Tap, call: _Call) -> Tensor:
        where = f"the {self.role}'s layer '{tap.layer}'"
        if call.count == 0:
            raise DistillError(f"{where} was not called in the forward pass; tap a layer that is")
        if tap.call is None and call.count > 1:
            raise DistillError(
                f"{where} was called {call.count} times in one forward pass; say which call, "
                f"from '{tap.layer}@1' to '{tap.layer}@{call.count}'"
            )
        if tap.call is not None and tap.call > call.count:
            raise DistillError(
                f"{where} was called {call.count} times, so there is no '{tap.layer}@{tap.call}'"
            )
        if call.output is None:
            raise DistillError(f"{where} did not give a tensor (or a tuple that holds one)")
        if _version(call.output) != call.version:
            raise DistillError(
                f"the output of {where} is changed in place by a later layer (such as ReLU(inplace=True)); "
                "tap that layer, or make it work out of place"
            )
        return call.output

    def _arrange(self, tap: Tap, output: Tensor) -> Tensor:
        layout = tap.layout or (AXES if output.ndim == 4 else None)
        shape = "×".join(str(size) for size in output.shape)
        where = f"the {self.role}'s layer '{tap.layer}' gives {output.ndim} axes ({shape})"
        if layout is None:
            raise DistillError(
                f"{where}; say what they are, as in '{tap.layer}:btc' (b example, t frame, c channel, d bin)"
            )
        if len(layout) != output.ndim:
            raise DistillError(f"{where}, but its layout '{layout}' names {len(layout)}")
        feature = output.permute([layout.index(axis) for axis in AXES if axis in layout])
        for position, axis in enumerate(AXES):
            if axis not in layout:
                feature = feature.unsqueeze(position)
        return torch.cat([feature.real, feature.imag], 1) if feature.is_complex() else feature


def _hook(tap: Tap, call: _Call) -> Any:
    def keep(module: nn.Module, inputs: Any, output: Any) -> None:  # noqa: ARG001
        call.count += 1
        if call.count == (tap.call or 1):
            call.output = first_tensor(output)
            call.version = 0 if call.output is None else _version(call.output)

    return keep


def _version(tensor: Tensor) -> int:
    """How often a tensor was changed in place. Within `torch.inference_mode()` nothing counts that."""
    return 0 if tensor.is_inference() else tensor._version


@contextmanager
def _dry(module: nn.Module) -> Iterator[None]:
    modes = {part: part.training for part in module.modules()}
    devices = sorted({p.device.index or 0 for p in module.parameters() if p.device.type == "cuda"})
    evaluating(module)
    try:
        with torch.random.fork_rng(devices=devices), torch.no_grad():
            yield
    finally:
        for part, mode in modes.items():
            part.training = mode
