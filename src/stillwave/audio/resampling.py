"""Resample with soxr HQ: linear phase, no delay, so that the output is aligned with the input."""

from __future__ import annotations

import numpy as np
import soxr

from stillwave.audio.contract import Samples


def resample(samples: Samples, rate_in: int, rate_out: int) -> Samples:
    """Resample `[channels, n]` to `[channels, round(n · rate_out / rate_in)]`, aligned in time.

    Returns the same array if the rates are equal.
    """
    if rate_in == rate_out:
        return samples
    return _transposed(soxr.resample(_transposed(samples), rate_in, rate_out, quality="HQ"))


class Resampler:
    """Resample a signal block by block; the output does not depend on the block sizes.

    The filter has look-ahead, so `push` may return fewer samples than expected, or none. The last block, which may be
    empty, is pushed with `last=True` and returns the rest.
    """

    def __init__(self, rate_in: int, rate_out: int, channels: int) -> None:
        self._soxr = None
        if rate_in != rate_out:
            self._soxr = soxr.ResampleStream(rate_in, rate_out, channels, dtype="float32", quality="HQ")

    def push(self, block: Samples, last: bool = False) -> Samples:
        """Resample `[channels, n]` and return the `[channels, m]` that are complete."""
        if self._soxr is None:
            return block
        return _transposed(self._soxr.resample_chunk(_transposed(block), last=last))


def _transposed(samples: Samples) -> Samples:
    return np.ascontiguousarray(samples.T, dtype=np.float32)
