"""The input of a network that sees whole windows: brought to its rate, and kept for the mix."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

import numpy as np

from stillwave.audio import Resampler, Samples


class ChunkedInput:
    """Brings blocks to the network's rate and keeps the input, at the output's rate, until `take`n."""

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
        """Samples of the whole output, once the input has ended."""
        self._blocks = blocks
        self._rate, self._rate_out = rate, rate_out
        self._channels, self._outputs = channels, outputs
        self._up = Resampler(rate, model_rate, channels)
        self._dry = Resampler(rate, rate_out, outputs) if keep else None
        self._kept = np.zeros((outputs, 0), np.float32)
        # A little silence behind the end makes up for what two roundings of the length could lose.
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
        """The next `count` samples of the input."""
        taken, self._kept = self._kept[:, :count], self._kept[:, count:]
        return taken
