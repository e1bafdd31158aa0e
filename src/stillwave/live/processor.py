"""Connect the callback of an audio device with a network in a worker thread, without blocking the callback.

The callback (`LiveProcessor.exchange`) passes a block in and takes one out; the worker (`LiveProcessor.work`) enhances.
If the machine is too slow:

- A block is played `lag` + 1 blocks after its input, so the worker has the time of `lag` blocks.
- If a block is late, the output fades to the dry signal over the block before it. The dry signal has the same delay.
- After `PATIENCE_SECONDS` without a late block, the output fades back to the clean signal.
- If more than `BACKLOG_SECONDS` are waiting, all but the newest blocks are skipped.

All of these events are counted. No audio library is needed here.
"""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np

from stillwave.audio import Samples, silence_faults
from stillwave.errors import AudioError
from stillwave.inference.stream import Stream

PATIENCE_SECONDS = 0.25
BACKLOG_SECONDS = 0.5


@dataclass
class LiveStatistics:
    """Counters of live processing; numbers of blocks, except for `fallbacks` and `device_faults`."""

    blocks: int = 0
    late: int = 0
    """Blocks that were not enhanced in time."""
    fallbacks: int = 0
    """How often the output changed to the dry signal because of late blocks."""
    skipped: int = 0
    """Blocks that were skipped to catch up."""
    device_faults: int = 0
    """How often the device reported an underflow or overflow."""
    load: float = 0.0
    """Processing time relative to the duration of the signal, as a moving average."""
    slowest_ms: float = 0.0
    """Longest processing time of one call."""
    clean: bool = False
    """Whether the clean signal is played."""
    peak_in: float = 0.0
    peak_out: float = 0.0
    """Decaying peak of the samples; full scale is 1."""


@dataclass
class LiveProcessor:
    """Enhances the signal of a device in blocks of `block` samples at the stream's rate.

    `exchange` and `work` may be called from two threads; neither waits for the other.

    Args:
        stream: A single stream.
        block: Samples per block.
        lag: Number of blocks that the worker may take, at least 1.
        clock: Returns the time in seconds.
        bypass: Play the dry signal. The network continues to run, so its state is current afterwards.
        statistics: Counters.

    Raises:
        AudioError: `stream` has several streams, or `block` or `lag` is below 1.

    """

    stream: Stream
    block: int
    lag: int = 2
    clock: Callable[[], float] = time.perf_counter
    bypass: bool = False
    statistics: LiveStatistics = field(default_factory=LiveStatistics)

    def __post_init__(self) -> None:
        if self.stream.streams != 1:
            raise AudioError(f"streams: a device needs a single stream, this one has {self.stream.streams}")
        if self.block < 1 or self.lag < 1:
            raise AudioError(f"block and lag must be at least 1, got {self.block} and {self.lag}")
        rate = self.stream.rate
        self._patience = max(1, round(PATIENCE_SECONDS * rate / self.block))
        self._backlog = max(self.lag + 1, round(BACKLOG_SECONDS * rate / self.block))
        self._rise = np.sin(0.5 * np.pi * (np.arange(self.block, dtype=np.float32) + 0.5) / self.block) ** 2
        self._inbox: deque[tuple[int, Samples]] = deque(maxlen=2 * self._backlog)
        self._ready: dict[int, Samples] = {}
        self._dry: deque[Samples] = deque()
        self._delayed = np.zeros(self.stream.delay_samples, np.float32)
        self._in_time = self._patience  # no late blocks at the start
        self._next, self._stale = 0, 0
        self._arrived = threading.Event()

    @property
    def delay_samples(self) -> int:
        """Delay from input to output of the callback in samples at the stream's rate, without the device's own."""
        return self.stream.delay_samples + (self.lag + 1) * self.block

    @property
    def waiting(self) -> int:
        """Number of enhanced blocks that are not played yet."""
        return len(self._ready)

    def exchange(self, block: Samples) -> Samples:
        """Pass `[microphones, block]` in and return `[block]`; for the callback of the device. Never blocks."""
        statistics = self.statistics
        if block.shape != (self.stream.backend.microphones, self.block):
            raise AudioError(
                f"block: expected the shape [{self.stream.backend.microphones}, {self.block}], got "
                f"{list(block.shape)}"
                + ("; transpose it (block.T)" if block.shape[:1] == (self.block,) and block.ndim == 2 else "")
            )
        index, statistics.blocks = statistics.blocks, statistics.blocks + 1
        self._inbox.append((index, np.array(block, np.float32)))
        self._arrived.set()
        block, _ = silence_faults(block)
        out = self._mix(index - self.lag - 1, self._dry_block(block[0]))
        statistics.peak_in = max(0.9 * statistics.peak_in, float(np.abs(block).max()))
        statistics.peak_out = max(0.9 * statistics.peak_out, float(np.abs(out).max()))
        return out

    def _dry_block(self, block: Samples) -> Samples:
        """Return the input with the delay of the clean signal."""
        joined = np.concatenate([self._delayed, block])
        self._dry.append(joined[: self.block])
        self._delayed = joined[self.block :]
        return self._dry.popleft() if len(self._dry) > self.lag + 1 else np.zeros(self.block, np.float32)

    def _mix(self, due: int, dry: Samples) -> Samples:
        """Return block `due`, clean or dry, with a fade between the two."""
        clean = self._ready.pop(due, None)
        for old in [index for index in list(self._ready) if index < due]:
            del self._ready[old]
        was_clean = self.statistics.clean
        stays = self._next_is_in_time(due + 1) and clean is not None and not self.bypass
        self.statistics.clean = stays
        if was_clean and not stays and not self.bypass:
            self.statistics.fallbacks += 1
        if clean is None:
            return dry
        if was_clean and stays:
            return clean
        if was_clean == stays:
            return dry
        fade = self._rise if stays else 1 - self._rise
        faded: Samples = dry + fade * (clean - dry)
        return faded

    def _next_is_in_time(self, index: int) -> bool:
        """Return whether block `index` is ready, and the blocks before it were for long enough."""
        if index < 0:
            return True
        if index in self._ready:
            self._in_time += 1
        else:
            self._in_time = 0
            self.statistics.late += 1
        return self._in_time >= self._patience or (self.statistics.clean and self._in_time > 0)

    def work(self, wait: float = 0.0) -> bool:
        """Enhance all waiting blocks. Return False if none arrived within `wait` seconds."""
        if not self._inbox and not self._arrived.wait(wait):
            return False
        self._arrived.clear()
        blocks = [self._inbox.popleft() for _ in range(len(self._inbox))]
        if not blocks:
            return False
        if len(blocks) > self._backlog:
            blocks = blocks[-self.lag :]
        if blocks[0][0] != self._next:
            self.statistics.skipped += blocks[0][0] - self._next
            # The stream still holds samples from before the gap; its output is unusable until they have passed.
            self._stale = self.stream.delay_samples
        self._next = blocks[-1][0] + 1
        self._deliver(blocks)
        return True

    def _deliver(self, blocks: list[tuple[int, Samples]]) -> None:
        start = self.clock()
        noisy = np.concatenate([block for _, block in blocks], axis=1)
        clean = self.stream.process(noisy if len(noisy) > 1 else noisy[0])
        seconds = self.clock() - start
        for position, (index, _) in enumerate(blocks):
            if self._stale <= 0:
                self._ready[index] = clean[position * self.block : (position + 1) * self.block]
            self._stale -= self.block
        load = seconds * self.stream.rate / (len(blocks) * self.block)
        self.statistics.load += 0.05 * (load - self.statistics.load)
        self.statistics.slowest_ms = max(self.statistics.slowest_ms, 1000 * seconds)


class LiveWorker(threading.Thread):
    """Thread that enhances the blocks of a processor until `stop`. `error` is the exception that ended it."""

    def __init__(self, processor: LiveProcessor) -> None:
        super().__init__(name="stillwave-live", daemon=True)
        self.processor = processor
        self.error: Exception | None = None
        self._stopped = threading.Event()

    def run(self) -> None:
        """Enhance blocks until stopped."""
        try:
            while not self._stopped.is_set():
                self.processor.work(wait=0.1)
        except Exception as error:  # reported by the main thread; the dry signal is played meanwhile
            self.error = error

    def stop(self) -> None:
        """Stop the thread and wait for it."""
        self._stopped.set()
        self.join()
