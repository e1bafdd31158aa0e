"""A recording through a network that sees whole windows, in constant memory."""

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
    """Runs `whole` on windows of `window` samples that overlap by `overlap`, `batch` at once."""

    whole: OfflineBackend
    window: int
    overlap: int
    batch: int

    def enhance(
        self, blocks: Iterable[Samples], channels: int, outputs: int, rates: tuple[int, int], dry_mix: float
    ) -> Iterator[Samples]:
        """Turn blocks `[channels, n]` at `rates[0]` Hz into blocks `[outputs, m]` at `rates[1]`."""
        rate, rate_out = rates
        intake = ChunkedInput(blocks, rate, self.whole.sample_rate, rate_out, channels, outputs, dry_mix > 0)
        pieces = cut(intake, self.window, self.overlap)
        down = Resampler(self.whole.sample_rate, rate_out, outputs)
        given = 0
        # An empty block behind the others flushes the resampler.
        end = np.zeros((outputs, 0), np.float32)
        for estimate in chain(join(self._estimates(pieces, outputs), self.overlap), [end]):
            samples = down.push(estimate, last=estimate is end)
            if intake.length is not None:
                samples = samples[:, : intake.length - given]
            given += samples.shape[1]
            if dry_mix > 0:
                samples = samples + np.float32(dry_mix) * (intake.take(samples.shape[1]) - samples)
            yield samples

    def _estimates(
        self, pieces: Iterator[tuple[int, Samples]], outputs: int
    ) -> Iterator[tuple[int, Samples]]:
        """Run the network over pieces, as many at once as fill a batch; pieces at once have one length."""
        together = max(1, self.batch // outputs)
        while group := list(islice(pieces, together)):
            while group:
                length = group[0][1].shape[1]
                same = [piece for piece in group if piece[1].shape[1] == length]
                group = [piece for piece in group if piece[1].shape[1] != length]
                estimates = self._run(np.stack([piece for _, piece in same]))
                yield from ((start, one) for (start, _), one in zip(same, estimates, strict=True))

    def _run(self, noisy: Samples) -> Samples:
        """Pieces `[pieces, channels, n]` to estimates of the same shape, with one channel for arrays."""
        rows = noisy.reshape(-1, noisy.shape[-1]) if self.whole.microphones == 1 else noisy
        estimates = np.zeros((len(rows), noisy.shape[-1]), np.float32)
        # Digital silence stays silent, whatever the network's biases would make of it.
        sounding = np.flatnonzero(rows.reshape(len(rows), -1).any(axis=1))
        for first in range(0, len(sounding), self.batch):
            chosen = sounding[first : first + self.batch]
            estimates[chosen] = self._network(rows[chosen])
        return estimates.reshape(len(noisy), -1, noisy.shape[-1])

    def _network(self, rows: Samples) -> Samples:
        out = self.whole(rows)
        if not np.isfinite(out).all():
            raise StillwaveError("the network's estimate is not finite; its weights may be damaged")
        return out
