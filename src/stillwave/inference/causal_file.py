"""Enhance a recording with a causal network, frame by frame, without windows."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

import numpy as np

from stillwave.audio import Samples
from stillwave.inference.backend import Backend
from stillwave.inference.pipeline import StreamingPipeline

_TAIL_SECONDS = 0.1


def causal_blocks(
    backend: Backend,
    blocks: Iterable[Samples],
    channels: int,
    rates: tuple[int, int],
    dry_mix: float,
    full_band: bool = True,
) -> Iterator[Samples]:
    """Yield the aligned estimate `[S, m]` at `rates[1]` Hz of blocks `[channels, n]` at `rates[0]` Hz.

    S is `channels` for a network for one microphone, else 1. The total length is that of the input.
    """
    rate_in, rate_out = rates
    streams = channels // backend.microphones
    pipeline = StreamingPipeline(backend, streams, rate_in, rate_out, dry_mix, full_band)
    received = returned = 0
    for block in blocks:
        received += block.shape[1]
        samples = pipeline.push(block.reshape(streams, backend.microphones, block.shape[1]))
        returned += samples.shape[1]
        yield samples
    length = (2 * received * rate_out + rate_in) // (2 * rate_in)
    # The signal is followed by silence, as in the offline STFT.
    silence = np.zeros((streams, backend.microphones, round(_TAIL_SECONDS * rate_in)), np.float32)
    while returned < length:
        samples = pipeline.push(silence)[:, : length - returned]
        returned += samples.shape[1]
        yield samples
