"""Check blocks of a recording, and prepare them for an offline network."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Iterator

import numpy as np

from stillwave.audio import Resampler, Samples, check, check_array, silence_faults
from stillwave.errors import AudioError

logger = logging.getLogger(__name__)


def checked_blocks(blocks: Iterable[Samples], channels: int) -> Iterator[Samples]:
    """Yield the blocks as float32, values beyond ±2³² replaced by silence."""
    total = 0
    for block in blocks:
        rows = check_array(block, "block")
        if rows.ndim != 2 or len(rows) != channels:
            raise AudioError(f"block: expected the shape [{channels}, samples], got {list(rows.shape)}")
        if rows.dtype != np.float32:
            rows = check(rows, "block") if rows.size else rows.astype(np.float32)
        rows, count = silence_faults(rows)
        total += count
        yield rows
    if total:
        logger.warning("samples beyond ±2³² were replaced by silence: %d", total)


class ChunkedInput:
    """Iterate over blocks at the network's rate; keep the input at the output's rate until `take` returns it."""

    def __init__(
        self,
        blocks: Iterable[Samples],
        rate: int,
        model_rate: int,
        rate_out: int,
        channels: int,
        outputs: int,
        keep: bool,
    ) -> None:
        self.length: int | None = None
        """Total length of the output in samples, once the input has ended."""
        self._blocks = blocks
        self._rate, self._rate_out = rate, rate_out
        self._channels, self._outputs = channels, outputs
        self._up = Resampler(rate, model_rate, channels)
        self._dry = Resampler(rate, rate_out, outputs) if keep else None
        self._kept = np.zeros((outputs, 0), np.float32)
        # Silence at the end compensates for rounding the length twice.
        self._padding = 0 if rate == model_rate == rate_out else max(rate // model_rate, rate // rate_out) + 2

    def __iter__(self) -> Iterator[Samples]:
        count = 0
        for block in self._blocks:
            count += block.shape[1]
            self._keep(block)
            yield self._up.push(block)
        self.length = (2 * count * self._rate_out + self._rate) // (2 * self._rate)
        tail = np.zeros((self._channels, self._padding), np.float32)
        self._keep(tail, last=True)
        yield self._up.push(tail, last=True)

    def _keep(self, block: Samples, last: bool = False) -> None:
        if self._dry is not None:
            dry = self._dry.push(block[: self._outputs], last=last)
            self._kept = np.concatenate([self._kept, dry], axis=1)

    def take(self, count: int) -> Samples:
        """Return the next `count` samples of the input."""
        taken, self._kept = self._kept[:, :count], self._kept[:, count:]
        return taken
