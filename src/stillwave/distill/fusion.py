"""Recursive fusion of a set's layers into one feature map (paper, residual fusion).

As defined: X_k = PReLU(InstanceNorm(Conv1×1 F_k)); R_1 = X_1; R_k = a·X_k + b·Y with Y = R_{k−1} resized
along frequency to D_k and [a, b] = sigmoid(Conv1×1 [X_k; Y]); fused = PReLU(InstanceNorm(Conv3×3 R_K)).

As computed, which is the same number at a fraction of the time and memory:

1. A 1×1 convolution W followed by InstanceNorm needs only the mean μ and covariance Σ of its *input* over (t,
   d): its output has mean Wμ and variance diag(W Σ Wᵀ). So both together are one affine map of F_k with
   weights of each example's own, and the unnormalised map is never made. 2. All that follows, up to the 3×3
   convolution, acts on each (t, d) by itself, and nearest-neighbour resizing only picks bins. So it is done
   at the last member's bins only: a two-channel mask of 257 bins is never expanded to 128 channels × 257
   bins. 3. The pointwise parts are made anew in the backward pass. On CPU one example is taken at a time, in
   channels-last order: its tensors stay in the cache.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Literal, cast

import torch
from torch import Tensor, nn
from torch.autograd.function import once_differentiable
from torch.nn import functional as F  # noqa: N812
from torch.utils.checkpoint import checkpoint

from stillwave.distill.method import full_precision

NORM_EPSILON = 1e-5  # InstanceNorm2d's


Moments = tuple[Tensor, Tensor]
"""Mean [B, C, 1] and covariance [B, C, C] of the channels over (t, d)."""


class Unit(nn.Module):
    """The parameters of PReLU(InstanceNorm(Conv x)): no bias in the convolution, one slope."""

    def __init__(self, inputs: int, outputs: int, kernel: int) -> None:
        super().__init__()
        self.conv = nn.Conv2d(inputs, outputs, kernel, padding=kernel // 2, bias=False)
        self.norm = nn.InstanceNorm2d(outputs, affine=True, eps=NORM_EPSILON)
        self.activation = nn.PReLU()

    def pointwise(self, feature: Tensor, moments: Moments, bins: Tensor | None) -> Tensor:
        """The unit (kernel 1) on [B, C, T, D], at the given bins only: [B, T, bins, outputs]."""
        mean, covariance = moments
        weight = self.conv.weight.flatten(1)
        variance = ((weight @ covariance) * weight).sum(-1).clamp_min(0.0)
        weight = weight * self._scale(variance).unsqueeze(-1)  # [B, outputs, C]
        bias = self.norm.bias - (weight @ mean).squeeze(-1)
        kept = (feature if bins is None else feature.index_select(3, bins)).flatten(2)
        out: Tensor = self.activation(torch.baddbmm(bias.unsqueeze(1), kept.mT, weight.mT))
        return out.view(len(out), feature.shape[2], -1, out.shape[-1])

    def normalised(self, x: Tensor) -> Tensor:
        """The unit's norm and activation on [B, C, T, D] in channels-last order, made without leaving it."""
        variance, mean = torch.var_mean(x, (2, 3), correction=0)
        scale = self._scale(variance)
        shift = self.norm.bias - mean * scale
        out: Tensor = self.activation(torch.addcmul(_maps(shift), x, _maps(scale)))
        return out

    def _scale(self, variance: Tensor) -> Tensor:
        return self.norm.weight * (variance + NORM_EPSILON).rsqrt()


class Fuser(nn.Module):
    """Fuses one set's layers, given in order of visit, into the last one's channels and bins.

    `mean` is the ablation of the recursion: the projected, resized members are averaged; no gates.
    Only what is used is built: gates from the second member on, one 3×3 convolution.
    """

    def __init__(
        self, channels: Sequence[int], width: int, mode: Literal["recursive", "mean"] = "recursive"
    ) -> None:
        super().__init__()
        self.units = nn.ModuleList(Unit(c, width, 1) for c in channels)
        gates = len(channels) - 1 if mode == "recursive" else 0
        self.gates = nn.ModuleList(nn.Conv2d(2 * width, 2, 1) for _ in range(gates))
        self.output = Unit(width, channels[-1], 3)

    def forward(self, visited: Sequence[Tensor]) -> Tensor:
        """[B, C_k, T, D_k] each → [B, C_K, T, D_K]."""
        picks = _picks([f.shape[3] for f in visited], visited[0].device)
        size = 1 if visited[0].device.type == "cpu" else len(visited[0])
        parts = [
            self._part(picks, part) for part in zip(*(torch.split(f, size) for f in visited), strict=True)
        ]
        return torch.cat(parts).permute(0, 3, 1, 2)

    def _part(self, picks: list[Tensor | None], visited: tuple[Tensor, ...]) -> Tensor:
        moments = [_moments(feature) for feature in visited]
        mixed = _remade(self._mix, picks, moments, *visited)
        raw = self.output.conv(mixed.permute(0, 3, 1, 2))
        return _remade(self.output.normalised, raw).permute(0, 2, 3, 1)

    def _mix(self, picks: list[Tensor | None], moments: list[Moments], *visited: Tensor) -> Tensor:
        """R_K at the last member's bins, [B, T, D_K, width]."""
        each = zip(self.units, visited, moments, picks, strict=True)
        members = [cast(Unit, u).pointwise(feature, moment, pick) for u, feature, moment, pick in each]
        if not self.gates:
            return torch.stack(members).mean(0)
        mixed = members[0]
        for gate, member in zip(self.gates, members[1:], strict=True):
            mixed = _gated(cast(nn.Conv2d, gate), member, mixed)
        return mixed


def _gated(gate: nn.Conv2d, x: Tensor, y: Tensor) -> Tensor:
    """a·x + b·y with [a, b] = sigmoid(Conv1×1 [x; y]); the concatenation is not made."""
    of_x, of_y = gate.weight.flatten(1).chunk(2, 1)
    a, b = (F.linear(x, of_x, gate.bias) + F.linear(y, of_y)).sigmoid().chunk(2, -1)
    return torch.addcmul(a * x, b, y)


def _moments(feature: Tensor) -> Moments:
    mean, covariance = _Moments.apply(feature.flatten(2))  # type: ignore[no-untyped-call]
    return mean, covariance


class _Moments(torch.autograd.Function):
    """Keeps the feature alone; the centred copy is made anew in `backward`."""

    @staticmethod
    def forward(ctx: Any, flat: Tensor) -> Moments:
        mean = flat.mean(-1, keepdim=True)
        ctx.save_for_backward(flat, mean)
        centred = flat - mean
        return mean, centred @ centred.mT / flat.shape[-1]

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, of_mean: Tensor, of_covariance: Tensor) -> Tensor:
        flat, mean = ctx.saved_tensors
        # The mean inside `centred` adds nothing: centred rows sum to 0.
        with full_precision(flat.device):
            slope = (of_covariance + of_covariance.mT) @ (flat - mean)
        total: Tensor = slope.add_(of_mean).div_(flat.shape[-1])
        return total


def _remade(function: Callable[..., Tensor], *inputs: Any) -> Tensor:
    """Call without keeping what is inside for the backward pass."""
    out: Tensor = checkpoint(function, *inputs, use_reentrant=False, preserve_rng_state=False)
    return out


def _maps(values: Tensor) -> Tensor:
    return values[:, :, None, None]


def _picks(bins: list[int], device: torch.device) -> list[Tensor | None]:
    """For each member, which of its bins each bin of the last member comes from (None: all, as they are)."""
    picks: list[Tensor | None] = [None]
    for own, following in zip(bins[-2::-1], bins[:0:-1], strict=True):
        later = picks[0]
        if own == following:
            picks.insert(0, later)
            continue
        # Asking `interpolate` itself keeps its rounding.
        nearest = F.interpolate(torch.arange(own, dtype=torch.float64)[None, None], size=following)[0, 0]
        index = nearest.long().to(device)
        picks.insert(0, index if later is None else index[later])
    return picks
