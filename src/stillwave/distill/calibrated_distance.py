"""Distance between two lists of layers in the streams of I²SRF-TFCKD; formulas in `methods/i2srf_tfckd.py`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import torch
from torch import Tensor, nn

from stillwave.distill.bands import Bands
from stillwave.distill.calibration import Calibration
from stillwave.distill.calibration_prior import divergence, log_prior
from stillwave.distill.method import DistillError
from stillwave.distill.pairing import counterparts
from stillwave.distill.similarity import STREAMS, Similarity, Stream, distribution, jeffreys, similarities
from stillwave.schema import I2srfTfckdConfig


class CalibratedDistance(nn.Module):
    """Loss between the feature maps of n student and m teacher layers.

    Args:
        n: Number of student layers.
        m: Number of teacher layers.
        config: Options of the method.
        batch: Global batch size B, for `embedding: released`.
        frames: Number of frames T, for `embedding: released`.
        bands: Bands of the frequency stream, if it is enabled.

    Attributes:
        weights: α of the last call by stream, [B, T, n, m], detached.

    """

    def __init__(
        self, n: int, m: int, config: I2srfTfckdConfig, batch: int, frames: int, bands: Bands | None = None
    ) -> None:
        super().__init__()
        self.config = config
        self.bands = bands
        self.streams: tuple[Stream, ...] = tuple(s for s in STREAMS if getattr(config, s))
        self.pairs = pairs(n, m, config)
        self.layers = n, m
        # With one teacher layer its weight is always 1.
        self.calibrated = config.calibration and config.pairs == "all" and m > 1
        self.calibrations = nn.ModuleDict(
            {s: Calibration(n, m, s, config, batch, frames) for s in self.streams} if self.calibrated else {}
        )
        self.weights: dict[Stream, Tensor] = {}

    def forward(
        self,
        student: Sequence[Tensor],
        teacher: Sequence[Tensor],
        clean: Mapping[Stream, Tensor] | None = None,
    ) -> Tensor:
        """Return the scalar loss. The teacher's maps get gradients only through the keys, if they require them.

        `clean`: cosines of the clean reference by stream, for `prior: clean`.
        """
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
                [distribution(x[stream].cosine, self.config.sharpness) for x in of_student],
                [distribution(x[stream].cosine.detach(), self.config.sharpness) for x in of_teacher],
                self.pairs,
            )
            if stream == "frequency":
                rows = rows.mean(2)  # over the bands: [B, T, pairs], as for the other streams
            weighting = self._weighting_stream(stream)
            weights = torch.stack([alpha[weighting][..., i, j] for i, j in self.pairs], -1)
            total = total + (weights * rows).sum() / self._divisor(stream, rows)
            if self.calibrated and self.config.prior != "none":
                cosines = [x[weighting].cosine.detach() for x in of_teacher]
                log_pi = log_prior(weighting, cosines, clean or {}, self.config.prior_scale)
                apart = divergence(alpha[weighting], log_pi).sum() / self._divisor(stream, rows)
                total = total + self.config.prior_weight * rows.detach().mean() * apart
        return total / n

    def similarities(self, feature: Tensor) -> dict[Stream, Similarity]:
        """Return the similarities of one feature map by stream."""
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

    def _weighting_stream(self, stream: Stream) -> Stream:
        if not self.config.cross_weighting:
            return stream
        one, other = self.streams
        return other if stream == one else one

    def _divisor(self, stream: Stream, rows: Tensor) -> int:
        B, T, _ = rows.shape
        scale = self.config.scale or ("released" if self.config.embedding == "released" else "balanced")
        return B * B if stream == "batch" and scale == "released" else B * T


def pairs(n: int, m: int, config: I2srfTfckdConfig) -> list[tuple[int, int]]:
    """Return the indices (student, teacher) of the compared layers."""
    if config.pairs == "one_to_one":
        return counterparts(n, m)
    return [(i, j) for i in range(n) for j in range(m)]


def _check_alike(features: Sequence[Tensor]) -> None:
    sizes = {(f.shape[0], f.shape[2]) for f in features}
    if len(sizes) > 1:
        listed = ", ".join(f"{b} examples of {t} frames" for b, t in sorted(sizes))
        raise DistillError(
            f"compared features differ in size: {listed}; tap layers with the same number of frames"
        )
