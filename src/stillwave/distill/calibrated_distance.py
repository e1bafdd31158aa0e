"""The distance between two lists of layers, in the calibrated streams of I²SRF-TFCKD (its file has the formulas)."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from stillwave.distill.bands import Bands
from stillwave.distill.calibration import Calibration
from stillwave.distill.method import DistillError
from stillwave.distill.similarity import STREAMS, Similarity, Stream, distribution, jeffreys, similarities
from stillwave.schema import I2srfTfckdConfig


class CalibratedDistance(nn.Module):
    """The loss between n student and m teacher feature maps. `weights` are the last α by stream, detached."""

    def __init__(
        self, n: int, m: int, config: I2srfTfckdConfig, batch: int, frames: int, bands: Bands | None = None
    ) -> None:
        super().__init__()
        self.config = config
        self.bands = bands
        self.streams: tuple[Stream, ...] = tuple(s for s in STREAMS if getattr(config, s))
        self.pairs = pairs(n, m, config)
        self.layers = n, m
        # One teacher layer has weight 1 whatever its key: nothing to learn.
        self.calibrated = config.calibration and config.pairs == "all" and m > 1
        self.calibrations = nn.ModuleDict(
            {s: Calibration(n, m, s, config, batch, frames) for s in self.streams} if self.calibrated else {}
        )
        self.weights: dict[Stream, Tensor] = {}

    def forward(self, student: Sequence[Tensor], teacher: Sequence[Tensor]) -> Tensor:
        """Scalar loss. Gradient flows into the teacher's maps only through the keys, if they carry one."""
        _check_alike([*student, *teacher])
        of_student = [self.similarities(feature) for feature in student]
        of_teacher = [self.similarities(feature) for feature in teacher]
        alpha = {
            s: self._alpha(s, [x[s] for x in of_student], [x[s] for x in of_teacher]) for s in self.streams
        }
        self.weights = {s: a.detach() for s, a in alpha.items()}
        n, _ = self.layers
        total = student[0].new_zeros(())
        for stream in self.streams:
            rows = jeffreys(
                [distribution(x[stream].cosine) for x in of_student],
                [distribution(x[stream].cosine.detach()) for x in of_teacher],
                self.pairs,
            )
            if stream == "frequency":
                rows = rows.mean(2)  # over the bands of a frame: [B, T, pairs] like the others
            weights = torch.stack([alpha[self._weighing(stream)][..., i, j] for i, j in self.pairs], -1)
            total = total + (weights * rows).sum() / self._divisor(stream, rows)
        return total / n

    def similarities(self, feature: Tensor) -> dict[Stream, Similarity]:
        """Of one feature map, by stream."""
        if self.config.centre:
            feature = feature - feature.mean((0, 2), keepdim=True)
        found = similarities(feature, self.streams)
        if self.bands is not None:
            found["frequency"] = self.bands.similarity(feature)
        return found

    def _alpha(self, stream: Stream, student: list[Similarity], teacher: list[Similarity]) -> Tensor:
        if self.calibrated:
            alpha: Tensor = self.calibrations[stream](student, teacher)
            return alpha
        n, m = self.layers
        fixed = student[0].cosine.new_full((n, m), 1 / m)
        if self.config.pairs == "one_to_one":
            fixed.zero_()[tuple(zip(*self.pairs, strict=True))] = 1.0
        B, T = student[0].cosine.shape[:2]
        return fixed.expand(B, T, n, m)

    def _weighing(self, stream: Stream) -> Stream:
        if not self.config.cross_weighting:
            return stream
        one, other = self.streams
        return other if stream == one else one

    def _divisor(self, stream: Stream, rows: Tensor) -> int:
        B, T, _ = rows.shape
        scale = self.config.scale or ("released" if self.config.embedding == "released" else "balanced")
        return B * B if stream == "batch" and scale == "released" else B * T


def pairs(n: int, m: int, config: I2srfTfckdConfig) -> list[tuple[int, int]]:
    """The (student, teacher) layers that are compared, from 0."""
    if config.pairs == "one_to_one":
        return [(i, -(-(i + 1) * m // n) - 1) for i in range(n)]
    return [(i, j) for i in range(n) for j in range(m)]


def _check_alike(features: Sequence[Tensor]) -> None:
    sizes = {(f.shape[0], f.shape[2]) for f in features}
    if len(sizes) > 1:
        listed = ", ".join(f"{b} examples of {t} frames" for b, t in sorted(sizes))
        raise DistillError(f"features to compare differ in size: {listed}; tap layers of one length")
