"""Record the outputs of named layers of any `nn.Module` with forward hooks. The module is not modified."""

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
    """A parsed tap: layer, call (from 1; None if it is called once) and axes of the output."""

    text: str
    layer: str
    call: int | None
    layout: str | None

    @classmethod
    def parse(cls, text: str) -> Tap:
        """Parse a tap. Raise DistillError if its syntax is invalid."""
        match = _TAP.fullmatch(text)
        if match is None or match["call"] == "0":
            raise DistillError(f"tap '{text}' is invalid; write layer, layer:layout or layer@k (k from 1)")
        layout = match["layout"]
        if layout and (
            set(layout) - set(AXES) or len(set(layout)) < len(layout) or not {"b", "t"} <= set(layout)
        ):
            raise DistillError(
                f"tap '{text}': layout '{layout}' must hold b and t, and may hold c and d, "
                "each once, for example btc"
            )
        return cls(text, plain_name(match["layer"]), int(match["call"]) if match["call"] else None, layout)


@dataclass
class _Call:
    """Output of the requested call of a layer, and the number of calls."""

    output: Tensor | None = None
    version: int = 0
    count: int = 0


class Taps:
    """Named layers of a module whose outputs are recorded.

    A tap is written `layer`, `layer:layout`, `layer@k` or `layer@k:layout`:

    - `layer`: a name of `module.named_modules()`. If the output of the layer is a tuple, list or dict, its first tensor
      is recorded.
    - `@k`: the k-th call of the layer, from 1; required if it is called several times in a forward pass.
    - `layout`: the axes of the output, one letter each: `b` example, `c` channel, `t` frame, `d` frequency bin. `c` and
      `d` may be absent. The default for four axes is `bctd`; for others the layout is required (`btc` for a batch-first
      GRU).

    Feature maps are returned as [B, C, T, D] for every layout; an absent axis has size 1. A complex output is
    returned as [B, 2·C, T, D], real parts first.

    Args:
        module: The network.
        names: The taps.
        role: Name of the module in error messages (`student`, `teacher`).

    Raises:
        DistillError: A layer does not exist, or the syntax of a tap is invalid.

    Examples:
        >>> network = nn.Sequential(nn.Linear(8, 4), nn.GRU(4, 3, batch_first=True))
        >>> taps = Taps(network, ["0:btc", "1:btc"])
        >>> with taps.record() as features:
        ...     output = network(torch.zeros(2, 10, 8))
        >>> {name: tuple(feature.shape) for name, feature in features.items()}
        {'0:btc': (2, 4, 10, 1), '1:btc': (2, 3, 10, 1)}

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
        """Record one forward pass that is run in the context.

        A compiled network runs uncompiled, since compiled code does not call hooks.

        Yields:
            A dict; on exit it is filled with the feature map [B, C, T, D] of each tap.

        Raises:
            DistillError: On exit, if a layer was not called, was called more often than expected, has an output that
                cannot be arranged as [B, C, T, D], or its output was modified in place by a later layer.

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
        """Run `dry_run` and return the shape of each tap."""
        return self.layers(self.dry_run(*example, **options)[0])

    def dry_run(self, *example: Any, **options: Any) -> tuple[dict[str, Tensor], Any]:
        """Run the module on an example in evaluation mode, without gradients; random state and modes are restored.

        Returns:
            The feature map [B, C, T, D] of each tap, and the output of the module.

        Raises:
            DistillError: As in `record`, if the module cannot run on the example, or if the first axis of a feature
                map is not the batch size of the first argument.

        """
        with _dry(self.module), self.record() as features:
            try:
                output = self.module(*example, **options)
            except StillwaveError:
                raise
            except Exception as error:  # any error of the network
                reason = (str(error).splitlines() or [type(error).__name__])[0]
                raise DistillError(
                    f"the {self.role} cannot run on the example ({describe(self.module, example)}): {reason}"
                ) from error
        for name, feature in features.items():
            self._check_batch(name, feature, example)
        return features, output

    def layers(self, features: dict[str, Tensor]) -> dict[str, Layer]:
        """Return the shapes of feature maps."""
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
                f"the {self.role}'s layer '{name}' returned {feature.shape[0]} examples "
                f"for {example[0].shape[0]}; check its layout (b is the axis of examples)"
            )

    def _output(self, tap: Tap, call: _Call) -> Tensor:
        where = f"the {self.role}'s layer '{tap.layer}'"
        if call.count == 0:
            raise DistillError(f"{where} was not called in the forward pass; tap a layer that is")
        if tap.call is None and call.count > 1:
            raise DistillError(
                f"{where} was called {call.count} times in one forward pass; name the call, "
                f"from '{tap.layer}@1' to '{tap.layer}@{call.count}'"
            )
        if tap.call is not None and tap.call > call.count:
            raise DistillError(
                f"{where} was called {call.count} times, so there is no '{tap.layer}@{tap.call}'"
            )
        if call.output is None:
            raise DistillError(f"{where} did not return a tensor, or a tuple, list or dict with one")
        if _version(call.output) != call.version:
            raise DistillError(
                f"the output of {where} is changed in place by a later layer (such as ReLU(inplace=True)); "
                "tap that layer, or make it work out of place"
            )
        return call.output

    def _arrange(self, tap: Tap, output: Tensor) -> Tensor:
        layout = tap.layout or (AXES if output.ndim == 4 else None)
        shape = "×".join(str(size) for size in output.shape)
        where = f"the {self.role}'s layer '{tap.layer}' returns {output.ndim} axes ({shape})"
        if layout is None:
            raise DistillError(
                f"{where}; name them, for example '{tap.layer}:btc' (b example, t frame, c channel, d bin)"
            )
        if len(layout) != output.ndim:
            raise DistillError(f"{where}, but its layout '{layout}' names {len(layout)}")
        feature = output.permute([layout.index(axis) for axis in AXES if axis in layout])
        for position, axis in enumerate(AXES):
            if axis not in layout:
                feature = feature.unsqueeze(position)
        return torch.cat([feature.real, feature.imag], 1) if feature.is_complex() else feature


def _hook(tap: Tap, call: _Call) -> Any:
    def store(module: nn.Module, inputs: Any, output: Any) -> None:  # noqa: ARG001
        call.count += 1
        if call.count == (tap.call or 1):
            call.output = first_tensor(output)
            call.version = 0 if call.output is None else _version(call.output)

    return store


def _version(tensor: Tensor) -> int:
    """Return the number of in-place changes of a tensor; `torch.inference_mode()` does not count them."""
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
