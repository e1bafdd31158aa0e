"""Change of sampling rate with soxr HQ: linear phase and no delay, so that results stay sample-aligned."""

from __future__ import annotations

import numpy as np
import soxr

from stillwave.audio.contract import Samples


def resample(samples: Samples, rate_in: int, rate_out: int) -> Samples:
    """Resample `[channels, n]` to `[channels, round(n · rate_out / rate_in)]`, aligned in time.

    The same array when the rates are equal.
    """
    if rate_in == rate_out:
        return samples
    return _turned(soxr.resample(_turned(samples), rate_in, rate_out, quality="HQ"))


class Resampler:
    """`resample` for a signal that comes in blocks: the same samples, whatever the blocks.

    The filter looks ahead, so a block may give fewer samples than its share, or none; the last one, pushed
    with `last=True` (it may be empty), gives what remains.
    """

    def __init__(self, rate_in: int, rate_out: int, channels: int) -> None:
        self._soxr = None
        if rate_in != rate_out:
            self._soxr = soxr.ResampleStream(rate_in, rate_out, channels, dtype="float32", quality="HQ")

    def push(self, block: Samples, last: bool = False) -> Samples:
        """Take `[channels, n]` and give the `[channels, m]` that are ready."""
        if self._soxr is None:
            return block
        return _turned(self._soxr.resample_chunk(_turned(block), last=last))


def _turned(samples: Samples) -> Samples:
    return np.ascontiguousarray(samples.T, dtype=np.float32)
