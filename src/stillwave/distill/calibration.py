"""Calibration weights α: how much each teacher layer counts for each student layer.

For each layer and frame, a small network embeds a row of similarities. The embeddings of the student layers are the
queries, those of the teacher layers the keys, and α = softmax over the teacher layers of ⟨query, key⟩.

Two inputs of the embedding:

- `released` (the authors' program): the Gram rows, so that the embedding has layers of width T (or B) and works for
  one segment length (or batch size) only. The logits depend on the level.
- `pooled` (this project): a fixed number of statistics of the *cosine* rows, for any T and B, including B = 1, and
  independent of the level. Time: similarities averaged over ranges of lags t' − t that divide −(T−1) … T−1 evenly
  (0 for a range without frames). Batch: similarities to the *other* examples in descending order, interpolated
  linearly to a fixed number, so that the order of the batch has no effect; 0 if there is no other example. Frequency:
  the mean similarity of each band to the other bands, `bands` numbers.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor, nn
from torch.nn import functional as F  # noqa: N812

from stillwave.distill.bands import profile
from stillwave.distill.method import DistillError
from stillwave.distill.similarity import Similarity, Stream
from stillwave.schema import I2srfTfckdConfig

Normalise = Literal["frames", "embedding"]


@dataclass(frozen=True)
class EmbeddingSize:
    """Widths of the layers of an embedding."""

    inputs: int
    hidden: int
    outputs: int


class Embedding(nn.Module):
    """Linear, ReLU, Linear, then unit norm over the frames (released) or over the embedding axis."""

    def __init__(self, size: EmbeddingSize, normalise: Normalise) -> None:
        super().__init__()
        hidden, output = nn.Linear(size.inputs, size.hidden), nn.Linear(size.hidden, size.outputs)
        self.layers = nn.Sequential(hidden, nn.ReLU(), output)
        self.axis = 1 if normalise == "frames" else 2

    def forward(self, summary: Tensor) -> Tensor:
        """Map [B, T, inputs] to [B, T, outputs]."""
        return F.normalize(self.layers(summary), dim=self.axis)


class Calibration(nn.Module):
    """α of one stream between n student and m teacher layers."""

    def __init__(
        self, students: int, teachers: int, stream: Stream, config: I2srfTfckdConfig, batch: int, frames: int
    ) -> None:
        super().__init__()
        size = _size(stream, config, batch, frames)
        normalise: Normalise = config.normalise or (
            "frames" if config.embedding == "released" else "embedding"
        )
        self.stream, self.pooled_size = stream, config.pooled_size if config.embedding == "pooled" else None
        self.built_for = batch, frames
        self.temperature = config.temperature
        self.queries = nn.ModuleList(Embedding(size, normalise) for _ in range(students))
        self.keys = nn.ModuleList(Embedding(size, normalise) for _ in range(teachers))

    def forward(self, student: Sequence[Similarity], teacher: Sequence[Similarity]) -> Tensor:
        """Return α, [B, T, n, m]: ≥ 0, with sum 1 over the last axis."""
        queries = torch.stack([e(self._summary(s)) for e, s in zip(self.queries, student, strict=True)], 2)
        keys = torch.stack([e(self._summary(s)) for e, s in zip(self.keys, teacher, strict=True)], 2)
        return (queries @ keys.mT / self.temperature).softmax(-1)

    def _summary(self, similarity: Similarity) -> Tensor:
        if self.stream == "frequency":
            return profile(similarity.cosine)
        if self.pooled_size is not None:
            pool = pool_lags if self.stream == "time" else sorted_others
            return pool(similarity.cosine, self.pooled_size)
        size = similarity.gram.shape[:2]
        if size != self.built_for:
            raise DistillError(
                "embedding 'released' was built for {} examples of {} frames and got {} of {}; "
                "use a fixed batch size and length, or embedding 'pooled'".format(*self.built_for, *size)
            )
        return similarity.gram


def pool_lags(cosine: Tensor, size: int) -> Tensor:
    """Return the mean similarity of each frame in each of `size` ranges of lags: [B, T, T] → [B, T, size]."""
    counts = F.adaptive_avg_pool1d(_by_lag(torch.ones_like(cosine[:1])), size)
    sums = F.adaptive_avg_pool1d(_by_lag(cosine), size)
    return sums / counts.masked_fill(counts == 0, 1.0)


def sorted_others(cosine: Tensor, size: int) -> Tensor:
    """Return the similarities to the other examples, descending and resampled: [B, T, B] → [B, T, size]."""
    B, T, _ = cosine.shape
    if B == 1:
        return (cosine * 0.0).expand(1, T, size)  # 0, connected to the graph
    other = ~torch.eye(B, dtype=torch.bool, device=cosine.device)
    others = cosine.transpose(1, 2)[other].view(B, B - 1, T).transpose(1, 2)
    falling = others.sort(-1, descending=True).values
    return F.interpolate(falling, size=size, mode="linear", align_corners=True)


def _by_lag(rows: Tensor) -> Tensor:
    """Map [B, T, T], entry (t, t'), to [B, T, 2T−1], entry (t, t' − t + T − 1); the rest is 0."""
    B, T, _ = rows.shape
    # Reading rows of length 2T as rows of length 2T−1 shifts row t by t; the flips turn that into −t.
    flat = F.pad(rows.flip(1), (0, T)).flatten(1)[:, : T * (2 * T - 1)]
    return flat.view(B, T, 2 * T - 1).flip(1)


def _size(stream: Stream, config: I2srfTfckdConfig, batch: int, frames: int) -> EmbeddingSize:
    pooled = config.embedding == "pooled"
    if stream == "frequency":
        return EmbeddingSize(config.bands, 2 * config.bands, config.bands)
    if stream == "time":
        width = config.pooled_size if pooled else frames
        return EmbeddingSize(width, 2 * width, width)
    width = config.pooled_size if pooled else batch
    return EmbeddingSize(width, config.batch_expansion * width, config.batch_expansion * width)
