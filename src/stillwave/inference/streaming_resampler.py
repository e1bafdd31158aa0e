"""Resample live signals with a short symmetric filter whose state can be copied.

soxr, which is used for offline networks, does not expose its state and has a longer delay. Here output m is
Σ_k h(m·rate_in/rate_out − k) x(k) with h a Kaiser-windowed sinc of `HALF` zero crossings on each side: 2 ms at 16 kHz.
The pass band ends at 0.87 of the lower Nyquist frequency, the stop band (−90 dB) begins at 1.05 of it. (Smith,
"Digital Audio Resampling", 2002.)
"""

from __future__ import annotations

import math
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from stillwave.audio import Samples

HALF = 32
"""Zero crossings of the filter on each side, at the lower of the two rates."""
_CUTOFF, _BETA = 0.96, 8.96
_MOST_PHASES = 1024
"""Ratios that need more filters interpolate linearly between the two nearest, with an error of −100 dB."""
_FEW_PHASES = 8
_AT_ONCE = 2**19
"""Greatest number of window samples at once, which bounds memory."""

Ints = NDArray[np.int64]


class StreamingResampler:
    """Resample rows `[R, n]` from `rate_in` to `rate_out`, aligned, in blocks of any size.

    The signal is preceded by silence. Equal rates pass through.
    """

    def __init__(self, rate_in: int, rate_out: int, rows: int) -> None:
        common = math.gcd(rate_in, rate_out)
        self.up, self.down = rate_out // common, rate_in // common
        self.same = rate_in == rate_out
        lower = min(1.0, rate_out / rate_in)
        self.reach = 0 if self.same else math.ceil(HALF / lower)
        """Input samples on each side that an output depends on."""
        self.phases = min(self.up, _MOST_PHASES)
        self.filters = _filters(self.phases, self.reach, lower) if not self.same else None
        # Before the signal, `reach` samples of silence.
        self.held = np.zeros((rows, self.reach), np.float32)
        self.numerator = 0
        """Position of the next output after the centre of the first window in `held`, in 1/up input samples."""

    def push(self, block: Samples) -> Samples:
        """Return the outputs that `block` completes."""
        if self.filters is None:
            return block
        signal = np.concatenate([self.held, block], axis=1)
        count = self._ready(signal.shape[1])
        step = max(1, _AT_ONCE // (2 * self.reach + 1))
        pieces = [
            self._outputs(signal, self.numerator + first * self.down, min(step, count - first))
            for first in range(0, count, step)
        ]
        numerator = self.numerator + count * self.down
        used = min(numerator // self.up, signal.shape[1])
        self.held, self.numerator = signal[:, used:].copy(), numerator - used * self.up
        return np.concatenate([*pieces, np.zeros((len(block), 0), np.float32)], axis=1)

    def _ready(self, samples: int) -> int:
        """Return the number of outputs whose windows lie within `samples` held samples."""
        last = samples - 2 * self.reach - 1  # last possible start of a window
        return max(0, (last * self.up + self.up - 1 - self.numerator) // self.down + 1) if last >= 0 else 0

    def _outputs(self, signal: Samples, numerator: int, count: int) -> Samples:
        windows = _windows(signal, 2 * self.reach + 1)
        if self.up <= _FEW_PHASES:
            return self._by_phase(windows, numerator, count)
        position = numerator + np.arange(count, dtype=np.int64) * self.down
        start, phase = np.divmod(position, self.up)
        outputs: Samples = np.einsum("rmk,mk->rm", windows[:, start], self._taps(phase))
        return outputs

    def _by_phase(self, windows: Samples, numerator: int, count: int) -> Samples:
        """Compute every `up`th output with one filter and strided windows, without copies."""
        assert self.filters is not None
        outputs = np.empty((len(windows), count), np.float32)
        for first in range(min(self.up, count)):
            start, phase = divmod(numerator + first * self.down, self.up)
            some = windows[:, start :: self.down][:, : len(range(first, count, self.up))]
            outputs[:, first :: self.up] = np.einsum("rmk,k->rm", some, self.filters[phase])
        return outputs

    def _taps(self, phase: Ints) -> Samples:
        assert self.filters is not None
        if self.phases == self.up:
            return self.filters[phase]
        exact = phase * (self.phases / self.up)
        below = exact.astype(np.int64)
        weight = (exact - below).astype(np.float32)[:, None]
        return (1 - weight) * self.filters[below] + weight * self.filters[below + 1]

    def ready(self, samples: Ints) -> Ints:
        """Return the number of outputs that the first `samples` input samples (at least 0) complete."""
        if self.same:
            return samples
        last = samples - self.reach - 1
        return np.where(last < 0, 0, (last * self.up + self.up - 1) // self.down + 1)

    def needed(self, outputs: Ints) -> Ints:
        """Return the number of input samples that complete the first `outputs` outputs (at least 1)."""
        return outputs if self.same else (outputs - 1) * self.down // self.up + self.reach + 1


def _windows(signal: Samples, length: int) -> Samples:
    """Return all windows `[R, n − length + 1, length]` of a contiguous signal `[R, n]`, without a copy.

    NumPy's `sliding_window_view` takes as long as a whole block of a live stream.
    """
    rows, count = signal.shape
    shape = rows, count - length + 1, length
    return np.ndarray(shape, np.float32, signal, 0, (*signal.strides, signal.itemsize))


@lru_cache(maxsize=16)
def _filters(phases: int, reach: int, lower: float) -> Samples:
    """Return filters `[phases + 1, 2·reach + 1]` for outputs p/phases after the centre sample."""
    taps = np.arange(-reach, reach + 1)
    offset = taps - np.arange(phases + 1)[:, None] / phases
    inside = np.clip(1 - (offset * lower / HALF) ** 2, 0, None)
    window = np.where(np.abs(offset) * lower <= HALF, np.i0(_BETA * np.sqrt(inside)) / np.i0(_BETA), 0)
    filters = _CUTOFF * lower * np.sinc(_CUTOFF * lower * offset) * window
    # Unit gain at 0 Hz for every filter, so that a constant stays constant.
    normalised: Samples = (filters / filters.sum(axis=1, keepdims=True)).astype(np.float32)
    normalised.flags.writeable = False  # cached and shared
    return normalised
