"""Overlapping windows with a cross-fade, for non-causal networks on signals of any length.

Attention and normalisation of such networks reach over the whole input, and a long recording does not fit into
memory. So the signal is cut into windows, which are processed separately and cross-faded where they overlap. Both sides
are estimates of the same speech, so the weights of the fade are sin² and cos², whose sum is one in amplitude.

Positions and lengths are in samples at the network's rate, arrays are `[channels, samples]`.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

import numpy as np

from stillwave.audio import Samples

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
