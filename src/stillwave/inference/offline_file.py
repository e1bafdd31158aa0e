"""Enhance a recording with an offline network, window by window, in constant memory."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import chain, islice

import numpy as np

from stillwave.audio import Resampler, Samples
from stillwave.errors import StillwaveError
from stillwave.inference.chunked_input import ChunkedInput
from stillwave.inference.offline_backend import OfflineBackend
from stillwave.inference.windows import cut, join


@dataclass
class OfflineBlocks:
    """Execute `backend` on windows of `window` samples that overlap by `overlap`, `batch` at once."""

    backend: OfflineBackend
    window: int
    overlap: int
    batch: int

    def enhance(
        self, blocks: Iterable[Samples], channels: int, outputs: int, rates: tuple[int, int], dry_mix: float
    ) -> Iterator[Samples]:
        """Yield the estimate `[outputs, m]` at `rates[1]` Hz of blocks `[channels, n]` at `rates[0]` Hz."""
        rate, rate_out = rates
        chunks = ChunkedInput(
            blocks, rate, self.backend.sample_rate, rate_out, channels, outputs, dry_mix > 0
        )
        pieces = cut(chunks, self.window, self.overlap)
        down = Resampler(self.backend.sample_rate, rate_out, outputs)
        returned = 0
        # An empty block at the end flushes the resampler.
        end = np.zeros((outputs, 0), np.float32)
        for estimate in chain(join(self._estimates(pieces, outputs), self.overlap), [end]):
            samples = down.push(estimate, last=estimate is end)
            if chunks.length is not None:
                samples = samples[:, : chunks.length - returned]
            returned += samples.shape[1]
            if dry_mix > 0:
                samples = samples + np.float32(dry_mix) * (chunks.take(samples.shape[1]) - samples)
            yield samples

    def _estimates(
        self, pieces: Iterator[tuple[int, Samples]], outputs: int
    ) -> Iterator[tuple[int, Samples]]:
        """Process pieces in batches; all pieces of a batch have the same length."""
        together = max(1, self.batch // outputs)
        while group := list(islice(pieces, together)):
            while group:
                length = group[0][1].shape[1]
                same = [piece for piece in group if piece[1].shape[1] == length]
                group = [piece for piece in group if piece[1].shape[1] != length]
                estimates = self._run(np.stack([piece for _, piece in same]))
                yield from ((start, one) for (start, _), one in zip(same, estimates, strict=True))

    def _run(self, noisy: Samples) -> Samples:
        """Return the estimates `[pieces, outputs, n]` of pieces `[pieces, channels, n]`."""
        rows = noisy.reshape(-1, noisy.shape[-1]) if self.backend.microphones == 1 else noisy
        estimates = np.zeros((len(rows), noisy.shape[-1]), np.float32)
        # Digital silence gives digital silence, whatever the biases of the network.
        active = np.flatnonzero(rows.reshape(len(rows), -1).any(axis=1))
        for first in range(0, len(active), self.batch):
            chosen = active[first : first + self.batch]
            estimates[chosen] = self._network(rows[chosen])
        return estimates.reshape(len(noisy), -1, noisy.shape[-1])

    def _network(self, rows: Samples) -> Samples:
        out = self.backend(rows)
        if not np.isfinite(out).all():
            raise StillwaveError("the network's estimate is not finite; its weights may be damaged")
        return out
