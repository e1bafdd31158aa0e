"""The steps of the fuser as autograd functions with explicit derivatives.

Axes: [B, N, C] or [B, T, D, C], channels last, N = T·D. Each function saves its inputs and little else; cheap
intermediate values are recomputed in the backward pass, without autocast. With DPDCRN on a CPU (B = 2, T = 100), one
training step of the flagship's loss needs 35 % less memory and 13 % less processor time than with PyTorch's
derivatives.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn
from torch.autograd.function import once_differentiable
from torch.nn import functional as F  # noqa: N812

from stillwave.distill.method import full_precision

NORM_EPSILON = 1e-5  # InstanceNorm2d's


def moments(feature: Tensor) -> tuple[Tensor, Tensor]:
    """Return mean [B, C, 1] and covariance [B, C, C] of the channels of [B, C, T, D] over (t, d)."""
    mean, covariance = _Moments.apply(feature.flatten(2))  # type: ignore[no-untyped-call]
    return mean, covariance


def prelu(x: Tensor, slope: Tensor | None) -> Tensor:
    """Apply PReLU with one slope; without a slope, return x."""
    if slope is None:
        return x
    out: Tensor = _PReLU.apply(x, slope)  # type: ignore[no-untyped-call]
    return out


def blend(x: Tensor, slope: Tensor | None, y: Tensor, gate: nn.Conv2d) -> Tensor:
    """Return a·X + b·y, X = PReLU(x) (x without slope), [a, b] = sigmoid(Conv1×1 [X; y]); all [B, N, C]."""
    out: Tensor = _Blend.apply(x, slope, y, gate.weight.flatten(1), gate.bias)  # type: ignore[no-untyped-call]
    return out


def normalise(raw: Tensor, weight: Tensor, bias: Tensor, slope: Tensor | None) -> Tensor:
    """Return PReLU(InstanceNorm(raw)) of [B, T, D, C]; without slope, InstanceNorm(raw).

    A single position is allowed: its norm is the bias.
    """
    out: Tensor = _Normalise.apply(raw.flatten(1, 2), weight, bias, slope)  # type: ignore[no-untyped-call]
    return out.view(raw.shape)


def _full_backward(backward: Callable[..., Any]) -> Callable[..., Any]:
    """Decorate the `backward` of a `torch.autograd.Function`: once differentiable, without autocast."""

    @functools.wraps(backward)
    def run(ctx: Any, *gradients: Any) -> Any:
        with full_precision(ctx.saved_tensors[0].device):
            return backward(ctx, *gradients)

    wrapped: Callable[..., Any] = once_differentiable(run)
    return wrapped


class _Moments(torch.autograd.Function):
    """Saves the feature map, not its centred copy."""

    @staticmethod
    def forward(ctx: Any, flat: Tensor) -> tuple[Tensor, Tensor]:
        mean = flat.mean(-1, keepdim=True)
        ctx.save_for_backward(flat, mean)
        centred = flat - mean
        return mean, centred @ centred.mT / flat.shape[-1]

    @staticmethod
    @_full_backward
    def backward(ctx: Any, of_mean: Tensor, of_covariance: Tensor) -> Tensor:
        flat, mean = ctx.saved_tensors
        # The mean in the centred rows has no derivative: they sum to 0.
        slope = (of_covariance + of_covariance.mT) @ (flat - mean)
        total: Tensor = slope.add_(of_mean).div_(flat.shape[-1])
        return total


class _PReLU(torch.autograd.Function):
    """Faster backward pass than F.prelu with one slope."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, slope: Tensor) -> Tensor:
        ctx.save_for_backward(x, slope)
        return F.prelu(x, slope)

    @staticmethod
    @_full_backward
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, Tensor]:
        x, slope = ctx.saved_tensors
        return _prelu_gradients(gradient, x, slope)


class _Blend(torch.autograd.Function):
    """Saves x, y and the two gate maps; neither X nor the concatenation."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, slope: Tensor | None, y: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
        active = _active(x, slope)
        of_x, of_y = weight.chunk(2, 1)
        gates = (F.linear(active, of_x, bias) + F.linear(y, of_y)).sigmoid_()
        ctx.save_for_backward(x, slope, y, weight, gates)
        return (gates[..., :1] * active).addcmul_(gates[..., 1:], y)

    @staticmethod
    @_full_backward
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor | None, ...]:
        x, slope, y, weight, gates = ctx.saved_tensors
        active = _active(x, slope)
        of_x, of_y = weight.chunk(2, 1)
        dots = torch.stack([(gradient * active).sum(-1), (gradient * y).sum(-1)], -1)
        logits = dots.mul_(gates).mul_(1 - gates).flatten(0, 1)  # derivative by the logits [B·N, 2]
        by_active = (gates[..., :1] * gradient).flatten(0, 1).addmm_(logits, of_x).view_as(x)
        by_y = (gates[..., 1:] * gradient).flatten(0, 1).addmm_(logits, of_y).view_as(y)
        by_weight = torch.cat([logits.mT @ active.flatten(0, 1), logits.mT @ y.flatten(0, 1)], 1)
        by_x, by_slope = (by_active, None) if slope is None else _prelu_gradients(by_active, x, slope)
        return by_x, by_slope, by_y, by_weight, logits.sum(0)


class _Normalise(torch.autograd.Function):
    """Saves its input and two numbers for each channel.

    With x̂ = (x − mean)/σ, z = γx̂ + β and g = ∂L/∂z: ∂L/∂x = γ/σ · (g − mean g − x̂ · mean(g·x̂)).
    """

    @staticmethod
    def forward(ctx: Any, raw: Tensor, weight: Tensor, bias: Tensor, slope: Tensor | None) -> Tensor:
        mean = raw.mean(1, keepdim=True)
        centred = raw - mean
        inverse = (centred.square().mean(1, keepdim=True) + NORM_EPSILON).rsqrt_()
        ctx.save_for_backward(raw, mean, inverse, weight, bias, slope)
        return _active(centred.mul_(inverse).mul_(weight).add_(bias), slope)

    @staticmethod
    @_full_backward
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor | None, ...]:
        raw, mean, inverse, weight, bias, slope = ctx.saved_tensors
        unit = (raw - mean).mul_(inverse)
        # by_z is changed in place below; `gradient` must not be.
        if slope is None:
            by_z, by_slope = gradient.clone(), None
        else:
            by_z, by_slope = _prelu_gradients(gradient, unit * weight + bias, slope)
        sums, products = by_z.sum(1, keepdim=True), (by_z * unit).sum(1, keepdim=True)
        by_raw = by_z.sub_(sums / raw.shape[1]).sub_(unit.mul_(products / raw.shape[1]))
        return by_raw.mul_(weight * inverse), products.sum((0, 1)), sums.sum((0, 1)), by_slope


def _active(x: Tensor, slope: Tensor | None) -> Tensor:
    return x if slope is None else F.prelu(x, slope)


def _prelu_gradients(gradient: Tensor, x: Tensor, slope: Tensor) -> tuple[Tensor, Tensor]:
    passed = torch.ops.aten.threshold_backward(gradient, x, 0.0)  # 0 where x ≤ 0
    by_slope = ((gradient - passed) * x).sum().reshape(1)
    return passed.lerp_(gradient, slope), by_slope
