"""A recording through a causal network: frame after frame with its memory, so that there are no windows to join."""

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
) -> Iterator[Samples]:
    """Blocks `[channels, n]` at `rates[0]` Hz to blocks `[S, m]` at `rates[1]`, aligned, of the whole's length.

    S is `channels` for a network of one microphone, which takes each by itself, else 1.
    """
    rate_in, rate_out = rates
    streams = channels // backend.microphones
    pipeline = StreamingPipeline(backend, streams, rate_in, rate_out, dry_mix)
    count = given = 0
    for block in blocks:
        count += block.shape[1]
        samples = pipeline.push(block.reshape(streams, backend.microphones, block.shape[1]))
        given += samples.shape[1]
        yield samples
    length = (2 * count * rate_out + rate_in) // (2 * rate_in)
    # What the signal is followed by, as in the transform of whole signals.
    silence = np.zeros((streams, backend.microphones, round(_TAIL_SECONDS * rate_in)), np.float32)
    while given < length:
        samples = pipeline.push(silence)[:, : length - given]
        given += samples.shape[1]
        yield samples
