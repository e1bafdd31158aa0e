"""Recursive fusion of the layers of a tap set into one feature map (residual fusion of the paper).

Definition: X_k = PReLU(InstanceNorm(Conv1×1 F_k)); R_1 = X_1; R_k = a·X_k + b·Y with Y = R_{k−1} resized along
frequency to D_k and [a, b] = sigmoid(Conv1×1 [X_k; Y]); fused = PReLU(InstanceNorm(Conv3×3 R_K)).

The computation is equivalent but needs less time and memory:

1. A 1×1 convolution W followed by InstanceNorm depends only on the mean μ and covariance Σ of its *input* over (t, d):
   its output has mean Wμ and variance diag(W Σ Wᵀ). Both are one affine map of F_k with weights for each example, and
   the unnormalised map is not computed.
2. All steps before the 3×3 convolution act on each (t, d) separately, and nearest-neighbour resizing selects bins. So
   they are computed at the last layer's bins only: a two-channel mask of 257 bins is not expanded to 128 channels × 257
   bins.
3. The steps have explicit derivatives (`fusion_steps.py`). On CPU, examples are processed one at a time in
   channels-last order, so that the tensors stay in the cache.
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
    """Parameters of PReLU(InstanceNorm(Conv x)); the convolution has no bias, the PReLU one slope.

    Other methods use another activation or none, or (`norm: batch`) mean and variance over the examples, as BatchNorm
    in training, without running averages.
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
        """Slope of the activation for negative values: 0 for ReLU, None without activation."""
        return self._fixed if self.activation is None else self.activation.weight

    def normalised(self, feature: Tensor, bins: Tensor | None = None, found: Moments | None = None) -> Tensor:
        """Apply convolution (kernel 1) and norm.

        Args:
            feature: [B, C, T, D].
            bins: Indices of the bins to compute; None: all.
            found: `moments_of(feature)`, if already computed.

        Returns:
            [B, T·bins, outputs].

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
        """Apply convolution, norm and activation to [B, T, D, inputs], channels last: [B, T, D, outputs]."""
        raw = self.conv(x.permute(0, 3, 1, 2)).permute(0, 2, 3, 1)
        normed = raw.flatten(0, 1).unsqueeze(0) if self.across else raw
        return normalise(normed, self.norm.weight, self.norm.bias, self.slope).view(raw.shape)

    def moments_of(self, feature: Tensor) -> Moments:
        """Return mean and covariance of the channels of each example, or of all (`norm: batch`)."""
        return moments(feature.transpose(0, 1).flatten(1, 2).unsqueeze(0) if self.across else feature)


class Fuser(nn.Module):
    """Fuses the layers of a tap set into one feature map with the channels and bins of the last visited layer.

    Only parameters that are used are built: gates from the second layer on, one 3×3 convolution.

    Args:
        channels: Channels of the layers in order of visit.
        width: Channels inside the fuser.
        mode: `recursive`, or `mean`: the average of the projected and resized layers, without gates (ablation).

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
        """Map feature maps [B, C_k, T, D_k] in order of visit to [B, C_K, T, D_K]."""
        picks = _source_bins([f.shape[3] for f in visited], visited[0].device)
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


def _source_bins(bins: list[int], device: torch.device) -> list[Tensor | None]:
    """Return for each layer the bins from which the last layer's bins are taken (None: all, unchanged)."""
    picks: list[Tensor | None] = [None]
    for source, target in zip(bins[-2::-1], bins[:0:-1], strict=True):
        later = picks[0]
        if source == target:
            picks.insert(0, later)
            continue
        index = nearest_bins(source, target).to(device)
        picks.insert(0, index if later is None else index[later])
    return picks


def nearest_bins(source: int, target: int) -> Tensor:
    """Return from which of `source` bins nearest-neighbour resizing takes each of `target` bins."""
    # `interpolate` itself, for its rounding.
    return F.interpolate(torch.arange(source, dtype=torch.float64)[None, None], size=target)[0, 0].long()
