"""InstanceNorm and PReLU in one pass, for channels-last feature maps on CPUs.

PyTorch normalises instances by viewing `[B, C, T, D]` as one example of B·C channels, which copies channels-last maps.
Here batch normalisation is applied to each example by itself (the same statistics): its kernel takes channels-last, and
the result is still in the cache for the PReLU.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn

from stillwave.models.kernels import allowed, once


def norm_prelu(x: Tensor, norm: nn.InstanceNorm2d, activation: nn.PReLU) -> Tensor:
    """Return `activation(norm(x))` for `[B, C, T, D]`, fused where that is faster."""
    if x.device.type != "cpu" or x.dtype != norm.weight.dtype or not allowed():
        y: Tensor = activation(norm(x))
        return y
    apply: Callable[..., Tensor] = _NormPReLU.apply
    return apply(x, norm.weight, norm.bias, activation.weight, norm.eps)


class _NormPReLU(torch.autograd.Function):
    """y = prelu(γ·x̂ + β), x̂ = (x − mean)/√(var + eps), statistics over (T, D) of each example and channel."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, gamma: Tensor, beta: Tensor, slope: Tensor, eps: float) -> Tensor:
        y = torch.empty_like(x)
        means, scales = x.new_empty(x.shape[:2]), x.new_empty(x.shape[:2])
        for i in range(len(x)):
            one, means[i], scales[i] = torch.native_batch_norm(
                x[i : i + 1], gamma, beta, None, None, True, 0.0, eps
            )
            y[i : i + 1] = torch.prelu(one, slope)
        ctx.save_for_backward(x, gamma, beta, slope, means, scales)
        ctx.eps = eps
        return y

    @staticmethod
    @once
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, ...]:
        x, gamma, beta, slope, means, scales = ctx.saved_tensors
        grad = grad.contiguous(memory_format=torch.channels_last)
        grad_x = torch.empty_like(x)
        grad_gamma, grad_beta, grad_slope = (torch.zeros_like(p) for p in (gamma, beta, slope))
        factor = gamma * scales
        offset = beta - means * factor
        for i in range(len(x)):
            one, outer = x[i : i + 1], grad[i : i + 1]
            normed = torch.addcmul(offset[i, :, None, None], one, factor[i, :, None, None])
            negative = outer * (normed <= 0)
            grad_slope += (negative * normed).sum((0, 2, 3))
            inner = torch.addcmul(outer, negative, slope[:, None, None] - 1)
            parts = torch.ops.aten.native_batch_norm_backward(
                inner, one, gamma, None, None, means[i], scales[i], True, ctx.eps, [True, True, True]
            )
            grad_x[i : i + 1] = parts[0]
            grad_gamma += parts[1]
            grad_beta += parts[2]
        return grad_x, grad_gamma, grad_beta, grad_slope, None
