"""A convolution along frequency, batch norm and SiLU with a residual, with a compiled kernel for training on CPUs.

PyTorch's operators write the feature map to memory after each of about ten operations; the kernel (`convolution.c`)
reads and writes it four times. Measurements: docs/benchmarks.md.
"""

from __future__ import annotations

import ctypes
import functools
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from stillwave.models import kernels


def convolve(x: Tensor, weight: Tensor) -> Tensor:
    """Convolve `[B, T, D, C]` along D with `[taps, C, out]`, by PyTorch's operators.

    Three taps are centred (zeros outside) and keep D; two use d and d + 1, and give D − 1 positions.
    """
    taps, D = len(weight), x.shape[2]
    if taps == 3:
        x, D = functional.pad(x, (0, 0, 1, 1)), D + 2
    parts = torch.cat([x[:, :, i : D - taps + 1 + i] for i in range(taps)], dim=3)
    return parts @ weight.flatten(0, 1)


def stage(x: Tensor, weight: Tensor, norm: nn.Module, residual: bool) -> Tensor:
    """Return `(x +) silu(norm(convolve(x, weight)))`, by the kernel where it can be used."""
    if isinstance(norm, nn.BatchNorm1d) and usable(x, weight, norm):
        apply: Callable[..., tuple[Tensor, Tensor, Tensor]] = _Stage.apply
        y, mean, variance = apply(x, weight, norm.weight, norm.bias, norm.eps, residual)
        _update_statistics(norm, mean, variance, y.numel() // y.shape[-1])
        return y
    c = convolve(x, weight)
    y = functional.silu(norm(c))
    return x + y if residual else y


def usable(x: Tensor, weight: Tensor, norm: nn.BatchNorm1d) -> bool:
    """Return whether the kernel can compute a stage: in training, in float32, on a CPU with a compiler."""
    taps, C, out = weight.shape
    return (
        torch.is_grad_enabled()
        and norm.training
        and x.device.type == "cpu"
        and x.dtype == torch.float32 == weight.dtype
        and out % 8 == 0
        and (C % 8 == 0 or not x.requires_grad)
        and x.shape[2] > taps
        and x.numel() > 0
        and kernels.allowed()
        and _kernel() is not None
    )


@torch.no_grad()
def _update_statistics(norm: nn.BatchNorm1d, mean: Tensor, variance: Tensor, count: int) -> None:
    """Update the running statistics as `nn.BatchNorm1d` does."""
    if norm.running_mean is None or norm.running_var is None or norm.num_batches_tracked is None:
        return
    norm.num_batches_tracked += 1
    momentum = norm.momentum if norm.momentum is not None else 1 / float(norm.num_batches_tracked)
    norm.running_mean.lerp_(mean, momentum)
    norm.running_var.lerp_(variance * (count / max(1, count - 1)), momentum)


class _Stage(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any, x: Tensor, weight: Tensor, gamma: Tensor, beta: Tensor, eps: float, residual: bool
    ) -> tuple[Tensor, Tensor, Tensor]:
        x = x.contiguous()
        B, T, D = x.shape[:3]
        taps, _, out = weight.shape
        left, positions = (1, D) if taps == 3 else (0, D - 1)
        c = x.new_empty(B, T, positions, out)
        _convolve(x, weight, c, left, accumulate=False)
        sums = _sums("moments", c)
        rows = c.numel() // out
        mean = sums[0] / rows
        variance = (sums[1] / rows - mean.square()).clamp(min=0)
        rstd = torch.rsqrt(variance + eps)
        scale = (gamma * rstd).float()
        shift = (beta - mean * scale).float()
        y = torch.empty_like(c)
        _call("norm_silu", c, x if residual else None, scale, shift, y, rows, out)
        mean, variance = mean.float(), variance.float()
        ctx.save_for_backward(x, weight, c, scale, shift, mean, rstd.float())
        ctx.left, ctx.residual = left, residual
        ctx.mark_non_differentiable(mean, variance)
        return y, mean, variance

    @staticmethod
    @kernels.once
    def backward(ctx: Any, grad: Tensor, *_: Any) -> tuple[Any, ...]:
        x, weight, c, scale, shift, mean, rstd = ctx.saved_tensors
        grad = grad.contiguous()
        taps, _, out = weight.shape
        rows = c.numel() // out
        total, product = _sums("norm_silu_sums", c, grad, scale, shift)
        d_gamma = (product - total * mean) * rstd
        # scale · (d − Σd/n − x̂ · Σ(d·x̂)/n), with x̂ = (c − mean) · rstd
        a = -scale * rstd * d_gamma / rows
        b = -scale * total / rows - a * mean
        d_c = torch.empty_like(c)
        _call("norm_silu_gradient", c, grad, scale, shift, a.float(), b.float(), d_c, rows, out)
        d_x = None
        if ctx.needs_input_grad[0]:
            d_x = grad.clone() if ctx.residual else torch.empty_like(x)
            turned = weight.flip(0).transpose(1, 2)
            _convolve(d_c, turned, d_x, taps - 1 - ctx.left, accumulate=ctx.residual)
        return d_x, _weight_gradient(x, d_c, taps, ctx.left), d_gamma.float(), total.float(), None, None


def _weight_gradient(x: Tensor, d_c: Tensor, taps: int, left: int) -> Tensor:
    """Return Σ x[d − left + i] · d_c[d] for each tap i, by one matrix product over the rows of all frames.

    Products of rows of different frames are subtracted again.
    """
    (_, _, D, C), (_, _, P, out) = x.shape, d_c.shape
    frames_x, frames_d = x.view(-1, D, C), d_c.view(-1, P, out)
    found = x.new_empty(taps, C, out)
    for i in range(taps):
        offset = i - left  # input position − output position
        if D == P:
            a, b = frames_x.view(-1, C), frames_d.view(-1, out)
            a, b = (a[offset:], b[: len(b) - offset]) if offset >= 0 else (a[:offset], b[-offset:])
            torch.mm(a.t(), b, out=found[i])
            if offset > 0:
                found[i].addmm_(frames_x[1:, 0].t(), frames_d[:-1, P - 1], alpha=-1)
            elif offset < 0:
                found[i].addmm_(frames_x[:-1, D - 1].t(), frames_d[1:, 0], alpha=-1)
        else:
            part = frames_x[:, offset : offset + P].reshape(-1, C)
            torch.mm(part.t(), frames_d.view(-1, out), out=found[i])
    return found


def _convolve(x: Tensor, weight: Tensor, y: Tensor, left: int, *, accumulate: bool) -> None:
    taps, C, out = weight.shape
    packed = kernels.packed(weight.reshape(taps * C, out))
    frames = x.shape[0] * x.shape[1]
    _call("convolve", x, packed, y, frames, x.shape[2], y.shape[2], C, out, taps, left, int(accumulate))


def _sums(name: str, c: Tensor, *others: Tensor) -> Tensor:
    out = c.shape[-1]
    sums = torch.empty(2, out, dtype=torch.float64)
    _call(name, c, *others, sums, c.numel() // out, out)
    return sums


def _call(name: str, *arguments: Tensor | int | None) -> None:
    getattr(_kernel(), name)(*(a.data_ptr() if isinstance(a, Tensor) else a for a in arguments))


@functools.cache
def _kernel() -> ctypes.CDLL | None:
    library = kernels.load(Path(__file__).with_name("convolution.c"))
    if library is None:
        return None
    pointer, number, size = ctypes.c_void_p, ctypes.c_int64, ctypes.c_int
    library.convolve.argtypes = [pointer] * 3 + [number] + [size] * 7
    library.moments.argtypes = [pointer] * 2 + [number, size]
    library.norm_silu.argtypes = [pointer] * 5 + [number, size]
    library.norm_silu_sums.argtypes = [pointer] * 5 + [number, size]
    library.norm_silu_gradient.argtypes = [pointer] * 7 + [number, size]
    for name in ("convolve", "moments", "norm_silu", "norm_silu_sums", "norm_silu_gradient"):
        getattr(library, name).restype = None
    return library
