"""Enhance a recording with an offline network, in windows that overlap, in constant memory.

Attention and normalisation of non-causal networks reach over the whole input, and a long recording does not fit into
memory. So the signal is cut into windows, which are processed separately and cross-faded where they overlap. Both sides
are estimates of the same speech, so the weights of the fade are sin² and cos², whose sum is one in amplitude.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import chain, islice

import numpy as np

from stillwave.audio import Resampler, Samples
from stillwave.errors import StillwaveError
from stillwave.inference.chunked_input import ChunkedInput
from stillwave.inference.offline_backend import OfflineBackend
from stillwave.inference.upper_band import has_upper_band, separate_upper_band

GRID = 256
"""Windows start at multiples of the STFT hop, so that their frames are those of the whole signal."""


def cut(blocks: Iterable[Samples], window: int, overlap: int) -> Iterator[tuple[int, Samples]]:
    """Cut a signal given as blocks into pieces (start, samples) of `window` samples.

    A signal of up to `window` samples gives one piece. The last piece of a longer one starts earlier, so that it is
    full (and up to `GRID` − 1 samples longer).
    """
    hop = window - overlap
    held, base, start = np.zeros((0, 0), np.float32), 0, 0  # held[:, 0] is sample `base`
    for block in blocks:
        held = block if held.shape[1] == 0 else np.concatenate([held, block], axis=1)
        while base + held.shape[1] > start + window:
            yield start, held[:, start - base : start - base + window]
            held, base, start = held[:, start - base :], start, start + hop
    end = base + held.shape[1]
    if start == 0:
        if end:
            yield 0, held
        return
    start = (end - window) // GRID * GRID
    yield start, held[:, start - base :]


def join(pieces: Iterable[tuple[int, Samples]], overlap: int) -> Iterator[Samples]:
    """Cross-fade the pieces of `cut` and yield the signal in order."""
    rising = _rise(overlap)
    held: Samples | None = None  # end of the last piece, to be cross-faded
    done = 0
    for start, piece in pieces:
        if held is not None:
            piece = piece[:, done - start :].copy()
            piece[:, :overlap] = rising * piece[:, :overlap] + (1 - rising) * held
        if piece.shape[1] > overlap:
            yield piece[:, : piece.shape[1] - overlap]
            done += piece.shape[1] - overlap
        held = piece[:, max(0, piece.shape[1] - overlap) :]
    if held is not None and held.shape[1]:
        yield held


def _rise(length: int) -> Samples:
    phase = (np.arange(length) + 0.5) / max(length, 1)
    return (np.sin(0.5 * np.pi * phase) ** 2).astype(np.float32)


@dataclass
class OfflineBlocks:
    """Execute `backend` on windows of `window` samples that overlap by `overlap`, `batch` at once."""

    backend: OfflineBackend
    window: int
    overlap: int
    batch: int
    full_band: bool = True
    """Keep the band above that of the network; see `upper_band.py`."""

    def enhance(
        self, blocks: Iterable[Samples], channels: int, outputs: int, rates: tuple[int, int], dry_mix: float
    ) -> Iterator[Samples]:
        """Yield the estimate `[outputs, m]` at `rates[1]` Hz of blocks `[channels, n]` at `rates[0]` Hz."""
        rate, rate_out = rates
        upper = self.full_band and has_upper_band(self.backend.sample_rate, rate, rate_out)
        mixes = upper or dry_mix > 0
        chunks = ChunkedInput(blocks, rate, self.backend.sample_rate, rate_out, channels, outputs, mixes)
        pieces = self._estimates(cut(chunks, self.window, self.overlap), outputs, upper)
        rows = 2 * outputs if upper else outputs
        down = Resampler(self.backend.sample_rate, rate_out, rows)
        returned = 0
        # An empty block at the end flushes the resampler.
        end = np.zeros((rows, 0), np.float32)
        for estimate in chain(join(pieces, self.overlap), [end]):
            samples = down.push(estimate, last=estimate is end)
            if chunks.length is not None:
                samples = samples[:, : chunks.length - returned]
            returned += samples.shape[1]
            dry = chunks.take(samples.shape[1]) if mixes else samples
            if upper:
                samples = samples[:outputs] + samples[outputs:] * dry
            yield samples + np.float32(dry_mix) * (dry - samples) if dry_mix > 0 else samples

    def _estimates(
        self, pieces: Iterator[tuple[int, Samples]], outputs: int, upper: bool
    ) -> Iterator[tuple[int, Samples]]:
        """Process pieces in batches, all of one length; with `upper`, as `separate_upper_band` returns them."""
        together = max(1, self.batch // outputs)
        while group := list(islice(pieces, together)):
            while group:
                length = group[0][1].shape[1]
                same = [piece for piece in group if piece[1].shape[1] == length]
                group = [piece for piece in group if piece[1].shape[1] != length]
                noisy = np.stack([piece for _, piece in same])
                estimates = self._run(noisy)
                if upper:
                    estimates = separate_upper_band(noisy[:, :outputs], estimates, 2 * GRID)
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
