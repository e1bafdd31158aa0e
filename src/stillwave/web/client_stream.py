"""One live stream of a client: blocks in from the event loop, blocks out to it, both queues bounded."""

from __future__ import annotations

import asyncio
import time
from collections import deque
from collections.abc import Callable
from typing import TYPE_CHECKING

from stillwave.audio import Samples
from stillwave.live.pcm import FORMATS, PcmDecoder, PcmEncoder

if TYPE_CHECKING:
    from stillwave.inference.stream_batch import BatchedStream, StreamBatch

_QUEUE_SECONDS = 1.0
"""Audio that waits for the network or for the receiver before the sender is paused."""
_PIECE = 4_096
"""Greatest number of samples per channel that are decoded at once."""


class ClientStream:
    """A stream between a client and the thread that processes it.

    The event loop calls `push`, `room`, `finish` and `next`; that thread calls the others.

    Args:
        model: Name of the model.
        rate: Sampling rate in Hz.
        channels: Number of channels.
        format: Sample format, `s16le` or `f32le`.
        dry_mix: As in `Stream`.
        wake: Called when there is something to process.

    """

    def __init__(
        self, model: str, rate: int, channels: int, format: str, dry_mix: float, wake: Callable[[], None]
    ) -> None:
        self.model, self.rate, self.channels, self.dry_mix = model, rate, channels, dry_mix
        self.width = channels * FORMATS[format].itemsize
        """Bytes of one sample of all channels."""
        self.received = self.returned = 0
        """Samples per channel."""
        self.closed = False
        self.stream: BatchedStream | None = None
        self.latency = 0.0
        """Seconds from the arrival of the last processed block to its result."""
        self._wake = wake
        self._decoder, self._encoder = PcmDecoder(format, channels), PcmEncoder(format)
        self._inbox: deque[tuple[float, memoryview]] = deque()
        self._outbox: deque[bytes] = deque()
        # Each counter of bytes is changed by one of the two threads.
        self._pushed = self._taken = self._made = self._sent = 0
        self._most = max(1, int(_QUEUE_SECONDS * rate)) * self.width
        self._finished = self._flushed = self._failed = self._ended = False
        self._arrived = 0.0
        self._changed = asyncio.Event()

    # Called by the event loop.

    def push(self, data: bytes) -> None:
        """Append whole samples."""
        self._pushed += len(data)
        self.received += len(data) // self.width
        self._inbox.append((time.monotonic(), memoryview(data)))
        self._wake()

    def finish(self) -> None:
        """End the signal: after the rest of the output, `next` returns nothing."""
        self._finished = True
        self._wake()

    async def room(self) -> None:
        """Wait until the queue of the input is short enough for another block."""
        while self._pushed - self._taken > self._most and not self._failed:
            await self._news()

    async def next(self) -> bytes | None:
        """Return the next samples of the output; None at its end."""
        while not self._outbox:
            if self._ended or self._failed:
                return None
            await self._news()
        data = b"".join(self._outbox)
        self._outbox.clear()
        self._sent += len(data)
        self.returned += len(data) // self.width
        self._wake()
        return data

    @property
    def failed(self) -> bool:
        """Whether this stream could not be processed."""
        return self._failed

    async def _news(self) -> None:
        self._changed.clear()
        await self._changed.wait()

    def deliver(self, data: bytes, ended: bool) -> None:
        """Take a result; `ended` for the last one."""
        if data:
            self._outbox.append(data)
        self._ended = ended
        self._changed.set()

    # Called by the thread.

    def open(self, batch: StreamBatch) -> BatchedStream:
        """Open the stream, unless it is open, and return it."""
        if self.stream is None:
            self.stream = batch.open(self.rate, self.channels, self.dry_mix)
        return self.stream

    def intake(self, most: int) -> bool:
        """Decode what has arrived until `most` frames are ready; return whether there was something."""
        stream = self.stream
        assert stream is not None
        took = False
        while self._inbox and stream.frames < most and self._roomy():
            self._arrived, data = self._inbox[0]
            piece, rest = data[: _PIECE * self.width], data[_PIECE * self.width :]
            if rest:
                self._inbox[0] = (self._arrived, rest)
            else:
                self._inbox.popleft()
            self._taken += len(piece)
            stream.push(self._decoder.push(bytes(piece)))
            took = True
        if self._finished and not self._inbox and not self._flushed:
            self._flushed = took = True
            stream.finish()
        return took

    def ready(self) -> bool:
        """Return whether a frame can be processed and its result be queued."""
        stream = self.stream
        return stream is not None and stream.frames > 0 and not self.over and self._roomy()

    def _roomy(self) -> bool:
        return self._made - self._sent <= self._most

    @property
    def over(self) -> bool:
        """Whether nothing is to be processed any more."""
        return self._failed or (self.stream is not None and self.stream.ended)

    def result(self, samples: Samples) -> tuple[bytes, bool]:
        """Return a result of the network as bytes, and whether it is the last."""
        data = self._encoder.push(samples)
        self._made += len(data)
        self.latency = time.monotonic() - self._arrived
        return data, self.over

    def fail(self) -> None:
        """End the stream because of an error."""
        self._failed = True
