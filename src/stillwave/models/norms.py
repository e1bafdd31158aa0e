"""Normalisation of feature maps `[B, C, T, D]` over different parts of the signal.

| kind | statistics over | look-ahead | state |
|---|---|---|---|
| `instance` | all frames of one example | the whole signal | none |
| `frame` | one frame (all channels and bins) | none | none |
| `running` | past frames, with a weight that falls to 1/e within a second | none | three numbers per group |
| `batch` | the training batches, frozen afterwards | none | none |

`frame` removes level differences between frames; `running` keeps them; `batch` does not adapt to the recording, is an
affine map after training, and makes training depend on the number of processes that share a batch. Comparison:
docs/sizes.md.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn

from stillwave.models.streaming import StreamState

MEMORY_FRAMES = 62.5
"""Frames after which a frame has 1/e of its weight in `running`: one second at a hop of 256 at 16 kHz."""
LEVEL_FRAMES = 125.0
"""The same for `RunningLevel`: two seconds."""


def make_norm(kind: str, channels: int, *, shared: bool = False) -> nn.Module:
    """Make an affine norm for `channels` channels; `shared` uses one mean and variance for all of them."""
    if kind == "instance":
        return nn.GroupNorm(1, channels, eps=1e-8) if shared else nn.InstanceNorm2d(channels, affine=True)
    if kind == "batch":
        return nn.BatchNorm2d(channels)
    return FrameNorm(channels) if kind == "frame" else RunningNorm(channels, 1 if shared else channels)


class _Affine(nn.Module):
    def __init__(self, channels: int, eps: float) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.ones(channels))
        self.bias = nn.Parameter(torch.zeros(channels))
        self.eps = eps

    def _scale(self, x: Tensor) -> Tensor:
        return x * self.weight[:, None, None] + self.bias[:, None, None]


class FrameNorm(_Affine):
    """Layer normalisation over channels and bins of each frame."""

    def __init__(self, channels: int, eps: float = 1e-5) -> None:
        super().__init__(channels, eps)

    def forward(self, x: Tensor) -> Tensor:
        """Normalise `[B, C, T, D]`."""
        centred = x - x.mean((1, 3), keepdim=True)
        return self._scale(centred * torch.rsqrt(centred.square().mean((1, 3), keepdim=True) + self.eps))


class RunningNorm(_Affine):
    """Normalisation by the exponentially weighted mean and variance of past frames.

    With μ_t and q_t the means of x and x² in frame t, M_t = Σ_s a^(t−s) μ_s / Σ_s a^(t−s) and likewise Q_t, s ≤ t; then
    y_t = (x_t − M_t) / √(Q_t − M_t² + eps). Both sums and their weight are the state, so the first frame uses its own
    statistics and the sums stay bounded. Because the variance is a difference of sums, offline and streamed outputs
    agree to 3e-5 of the loudest estimate, with other norms to 1e-5.
    """

    def __init__(self, channels: int, groups: int, eps: float = 1e-5) -> None:
        super().__init__(channels, eps)
        self.groups = groups
        self.decay = math.exp(-1 / MEMORY_FRAMES)
        self.memory = StreamState()

    def forward(self, x: Tensor) -> Tensor:
        """Normalise `[B, C, T, D]`."""
        B, C, T, D = x.shape
        grouped = x.reshape(B, self.groups, C // self.groups, T, D)
        moments = torch.stack([grouped.mean((2, 4)), grouped.square().mean((2, 4))], dim=1)  # [B, 2, G, T]
        values = torch.cat([moments.flatten(1, 2), torch.ones_like(moments[:, 0, :1])], dim=1)
        sums = decaying_sums(values, self.decay, self.memory)
        mean, power = (sums[:, :-1] / sums[:, -1:]).chunk(2, dim=1)
        scale = torch.rsqrt((power - mean.square()).clamp(min=0) + self.eps)
        return self._scale(((grouped - mean[:, :, None, :, None]) * scale[:, :, None, :, None]).flatten(1, 2))


class RunningLevel(nn.Module):
    """Divides compressed spectra by a running estimate of the level of the recording.

    With c_t the mean magnitude of frame t over bins and microphones, the level is Σ_s a^(t−s) c_s² / Σ_s a^(t−s) c_s,
    s ≤ t. Loud frames have more weight, so that silence does not change the level; magnitudes are compressed, so that a
    click changes it little. Method of this project.
    """

    def __init__(self) -> None:
        super().__init__()
        self.decay = math.exp(-1 / LEVEL_FRAMES)
        self.memory = StreamState()

    def forward(self, x: Tensor) -> Tensor:
        """Normalise compressed spectra `[B, 2·M, T, F]`, real parts before imaginary parts."""
        real, imaginary = x.chunk(2, dim=1)
        size = (real.square() + imaginary.square() + 1e-20).sqrt().mean((1, 3))  # [B, T]
        sums = decaying_sums(torch.stack([size.square(), size], dim=1), self.decay, self.memory)
        level = (sums[:, 0] + 1e-8) / (sums[:, 1] + 1e-8)  # digital silence: 1
        return x / level[:, None, :, None]


def decaying_sums(values: Tensor, decay: float, memory: StreamState) -> Tensor:
    """Return Σ_s decay^(t−s) v_s over s ≤ t, `[B, M, T]`; the state holds the last sums, `[B, M]`."""
    frames = torch.arange(values.shape[2], device=values.device)
    age = frames[None, :] - frames[:, None]  # [s, t]
    weights = torch.where(age >= 0, decay ** age.clamp(min=0).to(values.dtype), 0.0)
    before = memory.recall(values.new_zeros(values.shape[:2]))
    sums = values @ weights + before[:, :, None] * decay ** (frames + 1).to(values.dtype)
    memory.keep(sums[:, :, -1])
    return sums
