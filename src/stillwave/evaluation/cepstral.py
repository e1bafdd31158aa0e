"""MCD: mel-cepstral distance; lower is better.

R. F. Kubichek, "Mel-cepstral distance measure for objective speech quality assessment", IEEE PacRim 1993, as in the
package `mel-cepstral-distance` 0.0.4 with its defaults, but without warping in time: an estimate is aligned with its
reference. Both signals are scaled to a peak of 1. Frames of 32 ms every 8 ms, 20 mel bands of triangles up to 8 kHz,
their energies in bel, and cosine coefficients 2 to 16.
"""

from __future__ import annotations

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view
from numpy.typing import NDArray

from stillwave.audio import Samples
from stillwave.errors import MetricError
from stillwave.schema import SAMPLE_RATE

Array = NDArray[np.float64]

_SIZE, _HOP = round(0.032 * SAMPLE_RATE), round(0.008 * SAMPLE_RATE)
_BANDS, _FIRST, _LAST = 20, 1, 16


def mcd(clean: Samples, estimate: Samples) -> float:
    """Return the mean distance over frames of signals `[N]` at 16 kHz. Raises MetricError for less than 33 ms."""
    if len(clean) <= _SIZE:
        raise MetricError(f"too short for MCD (more than {_SIZE} samples)")
    difference = _cepstra(clean) - _cepstra(estimate)
    return float(np.linalg.norm(difference[:, _FIRST:_LAST], axis=1).mean())


def _cepstra(signal: Samples) -> Array:
    """Return cosine coefficients 1 … 20 of the mel energies in bel, `[frames, 20]`."""
    scaled = signal.astype(np.float64) / np.abs(signal).max()
    frames = sliding_window_view(scaled[:-1], _SIZE)[::_HOP] * np.hanning(_SIZE)
    energies = np.abs(np.fft.rfft(frames)) ** 2 @ _filters().T
    order = np.arange(1, _BANDS + 1)
    cosines = np.cos(np.outer(order, order - 0.5) * np.pi / _BANDS)
    return np.asarray(np.log10(energies + np.finfo(float).eps) @ cosines.T)


def _filters() -> Array:
    """Return triangles `[20, bins]` with edges on whole bins (O'Shaughnessy's mel scale)."""
    mels = np.linspace(0, 2595 * np.log10(1 + SAMPLE_RATE / 2 / 700), _BANDS + 2)
    edges = np.floor((_SIZE + 1) * 700 * (10 ** (mels / 2595) - 1) / SAMPLE_RATE).astype(int)
    filters = np.zeros((_BANDS, _SIZE // 2 + 1))
    for row, (left, centre, right) in zip(
        filters, zip(edges, edges[1:], edges[2:], strict=False), strict=True
    ):
        row[left:centre] = (np.arange(left, centre) - left) / (centre - left)
        row[centre:right] = (right - np.arange(centre, right)) / (right - centre)
    return filters
