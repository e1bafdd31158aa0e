"""Recursive fusion of a set's layers into one feature map (paper, residual fusion).

As defined: X_k = PReLU(InstanceNorm(Conv1×1 F_k)); R_1 = X_1; R_k = a·X_k + b·Y with Y = R_{k−1} resized
along frequency to D_k and [a, b] = sigmoid(Conv1×1 [X_k; Y]); fused = PReLU(InstanceNorm(Conv3×3 R_K)).

As computed, which is the same number at a fraction of the time and memory:

1. A 1×1 convolution W followed by InstanceNorm needs only the mean μ and covariance Σ of its *input* over (t,
   d): its output has mean Wμ and variance diag(W Σ Wᵀ). So both are one affine map of F_k, with weights of
   each example's own, and the map that is to be normalised is never made. 2. All that follows, up to the 3×3
   convolution, acts on each (t, d) by itself, and nearest-neighbour resizing only picks bins. So it is done
   at the last member's bins only: a two-channel mask of 257 bins is never expanded to 128 channels × 257
   bins. 3. The steps carry their own derivatives (`fusion_steps.py`), which keep one tensor where autograd
   keeps several. On CPU one example is taken at a time, in channels-last order: its tensors stay in the
   cache.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal, cast

import torch
from torch import Tensor, nn
from torch.nn import functional as F  # noqa: N812

from stillwave.distill.fusion_steps import NORM_EPSILON, blend, moments, normalise, prelu

Moments = tuple[Tensor, Tensor]
Activation = Literal["prelu", "relu", "none"]
Norm = Literal["instance", "batch"]


class Unit(nn.Module):
    """The parameters of PReLU(InstanceNorm(Conv x)): no bias in the convolution, one slope.

    Other methods end it with another activation or none, or take the norm's mean and variance over the examples
    too. That is BatchNorm in training; being a connector's, it keeps no running averages and needs no more
    than one position.
    """

    _fixed: Tensor | None

    def __init__(
        self,
        inputs: int,
        outputs: int,
        kernel: int,
        activation: Activation = "prelu",
        norm: Norm = "instance",
    ) -> None:
        super().__init__()
        self.conv = nn.Conv2d(inputs, outputs, kernel, padding=kernel // 2, bias=False)
        self.norm = nn.InstanceNorm2d(outputs, affine=True, eps=NORM_EPSILON)
        self.across = norm == "batch"
        self.activation = nn.PReLU() if activation == "prelu" else None
        self.register_buffer("_fixed", torch.zeros(1) if activation == "relu" else None, persistent=False)

    @property
    def slope(self) -> Tensor | None:
        """Of the activation on its negative side: 0 is a ReLU; None, no activation."""
        return self._fixed if self.activation is None else self.activation.weight

    def normalised(self, feature: Tensor, bins: Tensor | None = None, found: Moments | None = None) -> Tensor:
        """Convolution (kernel 1) and norm of [B, C, T, D], at the given bins only: [B, T·bins, outputs].

        `found`: what `moments_of` makes of the feature, if it is known.
        """
        mean, covariance = self.moments_of(feature) if found is None else found
        weight = self.conv.weight.flatten(1)
        variance = ((weight @ covariance) * weight).sum(-1).clamp_min(0.0)
        scale = self.norm.weight * (variance + NORM_EPSILON).rsqrt()
        weight = weight * scale.unsqueeze(-1)  # [B, outputs, C]
        bias = self.norm.bias - (weight @ mean).squeeze(-1)
        kept = (feature if bins is None else feature.index_select(3, bins)).flatten(2)
        return torch.baddbmm(bias.unsqueeze(1), kept.mT, weight.mT.expand(len(kept), -1, -1))

    def forward(self, x: Tensor) -> Tensor:
        """The whole unit on [B, T, D, inputs], channels last: [B, T, D, outputs]."""
        raw = self.conv(x.permute(0, 3, 1, 2)).permute(0, 2, 3, 1)
        normed = raw.flatten(0, 1).unsqueeze(0) if self.across else raw
        return normalise(normed, self.norm.weight, self.norm.bias, self.slope).view(raw.shape)

    def moments_of(self, feature: Tensor) -> Moments:
        """Mean and covariance of a feature's channels, of each example or of all."""
        return moments(feature.transpose(0, 1).flatten(1, 2).unsqueeze(0) if self.across else feature)


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
        examples = zip(*(torch.split(f, size) for f in visited), strict=True)
        return torch.cat([self._fuse(picks, members) for members in examples]).permute(0, 3, 1, 2)

    def _fuse(self, picks: list[Tensor | None], visited: tuple[Tensor, ...]) -> Tensor:
        units = cast("list[Unit]", list(self.units))
        each = [u.normalised(f, p) for u, f, p in zip(units, visited, picks, strict=True)]
        slopes = [unit.slope for unit in units]
        mixed = self._recursive(each, slopes) if self.gates else self._mean(each, slopes)
        batch, _, frames, bins = visited[-1].shape
        out: Tensor = self.output(mixed.view(batch, frames, bins, -1))
        return out

    def _recursive(self, members: list[Tensor], slopes: Sequence[Tensor | None]) -> Tensor:
        mixed = prelu(members[0], slopes[0])
        gates = cast("list[nn.Conv2d]", list(self.gates))
        for gate, member, slope in zip(gates, members[1:], slopes[1:], strict=True):
            mixed = blend(member, slope, mixed, gate)
        return mixed

    def _mean(self, members: list[Tensor], slopes: Sequence[Tensor | None]) -> Tensor:
        return torch.stack([prelu(m, s) for m, s in zip(members, slopes, strict=True)]).mean(0)


def _picks(bins: list[int], device: torch.device) -> list[Tensor | None]:
    """For each member, which of its bins each bin of the last member comes from (None: all, as they are)."""
    picks: list[Tensor | None] = [None]
    for own, following in zip(bins[-2::-1], bins[:0:-1], strict=True):
        later = picks[0]
        if own == following:
            picks.insert(0, later)
            continue
        index = nearest_bins(own, following).to(device)
        picks.insert(0, index if later is None else index[later])
    return picks


def nearest_bins(own: int, following: int) -> Tensor:
    """For each of `following` bins, which of `own` bins nearest-neighbour resizing takes it from."""
    # Asking `interpolate` itself keeps its rounding.
    return F.interpolate(torch.arange(own, dtype=torch.float64)[None, None], size=following)[0, 0].long()
