"""A GRU over feature maps `[B, S, L, C]` or `[B, L, S, C]`, with a compiled kernel for training on CPUs.

PyTorch's GRU on a CPU calls about ten operators for each step, each of which writes its result to memory, and
multiplies gradients of weights step by step. Here one pass over the steps computes gates and states of a block of rows
(`gru.c`), and everything that does not depend on the previous step is one matrix product over all steps. Sequences may
run along either axis without a copy. Measurements: docs/benchmarks.md.
"""

from __future__ import annotations

import ctypes
import functools
import os
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

from stillwave.models import kernels

_LARGEST = 256
"""The most hidden units that the kernel supports."""
_FEWEST_ROWS = 48
"""The fewest rows for one thread: a block of the kernel."""


class Steps(NamedTuple):
    """The positions of sequences in a contiguous map: element (i, t) is row `first[i] + t · stride`."""

    first: Tensor
    length: int
    stride: int


def steps_of(shape: torch.Size, axis: int) -> Steps:
    """Return the steps of a map `[B, X, Y, C]` whose sequences run along `axis` 1 or 2."""
    B, X, Y = shape[:3]
    if axis == 2:
        return Steps(torch.arange(B * X) * Y, Y, 1)
    return Steps((torch.arange(B)[:, None] * (X * Y) + torch.arange(Y)).reshape(-1), X, Y)


def usable(gru: nn.GRU, x: Tensor) -> bool:
    """Return whether the kernel can replace `gru` on `x`: in training, in float32, on a CPU with a compiler."""
    return (
        torch.is_grad_enabled()
        and x.device.type == "cpu"
        and x.dtype == torch.float32 == gru.weight_hh_l0.dtype
        and gru.hidden_size % 8 == 0
        and gru.hidden_size <= _LARGEST
        and x.numel() > 0
        and kernels.allowed()
        and _kernel() is not None
    )


def run(gru: nn.GRU, x: Tensor, axis: int) -> Tensor:
    """Run a one-layer GRU along `axis` 1 or 2 of `[B, X, Y, C]`, from a zero state, by the kernel.

    Returns `[B, X, Y, directions · hidden]`, which can be differentiated once. Requires `usable`.
    """
    names = ["", "_reverse"] if gru.bidirectional else [""]
    kinds = ("weight_ih", "weight_hh", "bias_ih", "bias_hh")
    weights = [getattr(gru, f"{kind}_l0{name}") for name in names for kind in kinds]
    apply: Callable[..., Tensor] = _Gru.apply
    return apply(x, steps_of(x.shape, axis), *weights)


class _Gru(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor, steps: Steps, *weights: Tensor) -> Tensor:
        w_ih, w_hh, b_ih, b_hh = (weights[i::4] for i in range(4))
        H = w_hh[0].shape[1]
        rows, width = x.numel() // x.shape[-1], H * len(w_hh)
        flat = x.reshape(rows, -1)
        gates = torch.mm(flat, torch.cat(w_ih).t())
        inner, given = x.new_empty(rows, width), x.new_empty(*x.shape[:-1], width)
        hidden = given.view(rows, width)
        calls: list[tuple[Any, ...]] = []
        for d, weight in enumerate(w_hh):
            bias = torch.cat([b_ih[d][: 2 * H] + b_hh[d][: 2 * H], b_ih[d][2 * H :], b_hh[d][2 * H :]])
            arrays = (
                *(_at(gates, 3 * d * H), _at(inner, d * H), _at(hidden, d * H)),
                *(kernels.packed(weight.t()), bias),
            )
            calls += _tasks(_directed(steps, d), arrays, H, len(w_hh))
        _run_all("gru_forward", calls)
        ctx.save_for_backward(flat, gates, inner, given, *w_ih, *w_hh)
        ctx.steps, ctx.shape = steps, x.shape
        return given

    @staticmethod
    @kernels.once
    def backward(ctx: Any, grad: Tensor) -> tuple[Any, ...]:
        flat, gates, inner, given, *weights = ctx.saved_tensors
        hidden = given.view(inner.shape)
        directions = len(weights) // 2
        w_ih, w_hh = weights[:directions], weights[directions:]
        H = w_hh[0].shape[1]
        grad = grad.contiguous().view(hidden.shape)
        d_gates, d_inner, before = torch.empty_like(gates), torch.empty_like(inner), torch.empty_like(inner)
        calls: list[tuple[Any, ...]] = []
        for d, weight in enumerate(w_hh):
            wide, narrow = 3 * d * H, d * H
            arrays = (
                *(
                    _at(gates, wide),
                    _at(inner, narrow),
                    _at(hidden, narrow),
                    _at(grad, narrow),
                    kernels.packed(weight),
                ),
                *(_at(d_gates, wide), _at(d_inner, narrow), _at(before, narrow)),
            )
            calls += _tasks(_directed(ctx.steps, d), arrays, H, directions)
        _run_all("gru_backward", calls)
        d_x = torch.mm(d_gates, torch.cat(w_ih)).view(ctx.shape) if ctx.needs_input_grad[0] else None
        d_ih = torch.split(torch.mm(d_gates.t(), flat), 3 * H)
        b_ih, b_inner = torch.split(d_gates.sum(0), 3 * H), torch.split(d_inner.sum(0), H)
        found: list[Tensor] = []
        for d in range(directions):
            own, past = slice(3 * d * H, 3 * d * H + 2 * H), before[:, d * H : (d + 1) * H]
            d_hh = torch.empty_like(w_hh[d])
            torch.mm(d_gates[:, own].t(), past, out=d_hh[: 2 * H])
            torch.mm(d_inner[:, d * H : (d + 1) * H].t(), past, out=d_hh[2 * H :])
            found += [d_ih[d], d_hh, b_ih[d], torch.cat([b_ih[d][: 2 * H], b_inner[d]])]
        return d_x, None, *found


def _directed(steps: Steps, direction: int) -> Steps:
    if not direction:
        return steps
    return Steps(steps.first + (steps.length - 1) * steps.stride, steps.length, -steps.stride)


def _at(tensor: Tensor, column: int) -> Tensor:
    return tensor[:, column:]


def _tasks(
    steps: Steps, arrays: tuple[Tensor, ...], hidden: int, directions: int
) -> Iterator[tuple[Any, ...]]:
    """Yield the arguments of the kernel's calls, one for each thread."""
    rows = len(steps.first)
    parts = max(1, min(torch.get_num_threads(), rows // _FEWEST_ROWS))
    sizes = (hidden, 3 * hidden * directions, hidden * directions)
    for first in steps.first.chunk(parts):
        yield *arrays, first, len(first), steps.length, steps.stride, *sizes


def _run_all(name: str, calls: list[tuple[Any, ...]]) -> None:
    function = getattr(_kernel(), name)
    pointers = [[a.data_ptr() if isinstance(a, Tensor) else a for a in call] for call in calls]
    threads = torch.get_num_threads()
    if threads == 1 or len(calls) == 1:
        for arguments in pointers:
            function(*arguments)
    else:
        list(_pool(threads).map(lambda arguments: function(*arguments), pointers))


@functools.cache
def _pool(threads: int) -> ThreadPoolExecutor:
    return ThreadPoolExecutor(threads, thread_name_prefix="gru")


if hasattr(os, "register_at_fork"):  # threads do not survive a fork
    os.register_at_fork(after_in_child=_pool.cache_clear)


@functools.cache
def _kernel() -> ctypes.CDLL | None:
    """Return the compiled kernel, if it can be built."""
    library = kernels.load(Path(__file__).with_name("gru.c"))
    if library is None:
        return None
    pointer, number, size = ctypes.c_void_p, ctypes.c_int64, ctypes.c_int
    library.gru_forward.argtypes = [pointer] * 6 + [number] * 3 + [size] * 3
    library.gru_backward.argtypes = [pointer] * 9 + [number] * 3 + [size] * 3
    library.gru_forward.restype = library.gru_backward.restype = None
    return library
