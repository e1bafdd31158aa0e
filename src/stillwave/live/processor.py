"""Between a sound device and a network: what a device's callback may wait for, which is nothing.

The callback gives a block and takes one; a worker cleans. The rule for a machine that is too slow:

- A block goes out `lag` + 1 blocks after it came in, so that the worker has the time of `lag` blocks for it.
- When a block is late, the dry signal fades in over the block before it, which is still clean. The dry signal is
  delayed as the clean one is, so nothing jumps.
- When blocks have been in time for `PATIENCE_SECONDS` at a stretch, the clean signal fades in again.
- When more than `BACKLOG_SECONDS` wait, all but the newest blocks are skipped.

All of it is counted. Nothing here knows of a sound library, threads aside: `Lane.exchange` is for the callback,
`Lane.work` for the worker.
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
    """What has happened so far. Counts are of blocks, but for `fallbacks` and `device_faults`."""

    blocks: int = 0
    late: int = 0
    """Not clean in time: deadlines missed."""
    fallbacks: int = 0
    """How often the dry signal took over because of that."""
    skipped: int = 0
    """Not cleaned at all, to catch up."""
    device_faults: int = 0
    """How often the device said that samples came too late or were lost."""
    load: float = 0.0
    """Time the worker took over the time of the sound, lately."""
    slowest_ms: float = 0.0
    """Longest time the worker took at once."""
    clean: bool = False
    """Whether the clean signal is what is heard."""
    peak_in: float = 0.0
    peak_out: float = 0.0
    """Largest absolute sample lately; full scale is 1."""


@dataclass
class LiveProcessor:
    """One device's way through one stream, in blocks of `block` samples at the stream's rate.

    `exchange` and `work` may be called from two threads; neither ever waits for the other. Raises AudioError
    for a stream of several, a block or a lag below 1.
    """

    stream: Stream
    block: int
    lag: int = 2
    clock: Callable[[], float] = time.perf_counter
    bypass: bool = False
    """Let the dry signal pass; the network goes on listening, so that it is ready when wanted again."""
    figures: LiveStatistics = field(default_factory=LiveStatistics)

    def __post_init__(self) -> None:
        if self.stream.streams != 1:
            raise AudioError(f"a device is one stream, this one is {self.stream.streams}")
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
        self._in_time = self._patience  # at the start nothing has been late
        self._next, self._stale = 0, 0
        self._came = threading.Event()

    @property
    def delay_samples(self) -> int:
        """From a sample's way in to its way out of the callback, at the stream's rate; the device adds its own."""
        return self.stream.delay_samples + (self.lag + 1) * self.block

    def exchange(self, block: Samples) -> Samples:
        """The device's callback: `[microphones, block]` in, `[block]` out. Never waits."""
        figures = self.figures
        if block.shape != (self.stream.backend.microphones, self.block):
            raise AudioError(
                f"block: expected the shape [{self.stream.backend.microphones}, {self.block}], got "
                f"{list(block.shape)}"
                + ("; transpose it (block.T)" if block.shape[:1] == (self.block,) and block.ndim == 2 else "")
            )
        index, figures.blocks = figures.blocks, figures.blocks + 1
        self._inbox.append((index, np.array(block, np.float32)))
        self._came.set()
        block, _ = silence_faults(block)
        out = self._mix(index - self.lag - 1, self._dry_block(block[0]))
        figures.peak_in = max(0.9 * figures.peak_in, float(np.abs(block).max()))
        figures.peak_out = max(0.9 * figures.peak_out, float(np.abs(out).max()))
        return out

    def _dry_block(self, block: Samples) -> Samples:
        """The input, as late as the clean signal is."""
        joined = np.concatenate([self._delayed, block])
        self._dry.append(joined[: self.block])
        self._delayed = joined[self.block :]
        return self._dry.popleft() if len(self._dry) > self.lag + 1 else np.zeros(self.block, np.float32)

    def _mix(self, due: int, dry: Samples) -> Samples:
        """Block `due`, clean or dry, faded where it changes from one to the other."""
        clean = self._ready.pop(due, None)
        for old in [index for index in list(self._ready) if index < due]:
            del self._ready[old]
        heard = self.figures.clean
        stays = self._next_is_in_time(due + 1) and clean is not None and not self.bypass
        self.figures.clean = stays
        if heard and not stays and not self.bypass:
            self.figures.fallbacks += 1
        if clean is None:
            return dry
        if heard and stays:
            return clean
        if heard == stays:
            return dry
        dry_mix = self._rise if stays else 1 - self._rise
        faded: Samples = dry + dry_mix * (clean - dry)
        return faded

    def _next_is_in_time(self, index: int) -> bool:
        """Whether block `index` is clean, and so were those before it for long enough."""
        if index < 0:
            return True
        if index in self._ready:
            self._in_time += 1
        else:
            self._in_time = 0
            self.figures.late += 1
        return self._in_time >= self._patience or (self.figures.clean and self._in_time > 0)

    def work(self, wait: float = 0.0) -> bool:
        """Clean all that has come; False where nothing did within `wait` seconds. Errors of the network are raised."""
        if not self._inbox and not self._came.wait(wait):
            return False
        self._came.clear()
        taken = [self._inbox.popleft() for _ in range(len(self._inbox))]
        if not taken:
            return False
        if len(taken) > self._backlog:
            taken = taken[-self.lag :]
        if taken[0][0] != self._next:
            self.figures.skipped += taken[0][0] - self._next
            # What the stream still holds lies before the gap: its estimates are out of place until it is through.
            self._stale = self.stream.delay_samples
        self._next = taken[-1][0] + 1
        self._deliver(taken)
        return True

    def _deliver(self, taken: list[tuple[int, Samples]]) -> None:
        begun = self.clock()
        noisy = np.concatenate([block for _, block in taken], axis=1)
        clean = self.stream.process(noisy if len(noisy) > 1 else noisy[0])
        took = self.clock() - begun
        for position, (index, _) in enumerate(taken):
            if self._stale <= 0:
                self._ready[index] = clean[position * self.block : (position + 1) * self.block]
            self._stale -= self.block
        dry_mix = took * self.stream.rate / (len(taken) * self.block)
        self.figures.load += 0.05 * (dry_mix - self.figures.load)
        self.figures.slowest_ms = max(self.figures.slowest_ms, 1000 * took)


class LiveWorker(threading.Thread):
    """Cleans what comes through a lane until it is `stop`ped. `error` is what ended it otherwise."""

    def __init__(self, lane: LiveProcessor) -> None:
        super().__init__(name="stillwave-live", daemon=True)
        self.lane = lane
        self.error: Exception | None = None
        self._stopped = threading.Event()

    def run(self) -> None:
        """Work until stopped."""
        try:
            while not self._stopped.is_set():
                self.lane.work(wait=0.1)
        except Exception as error:  # told by the main thread; the lane passes the dry signal meanwhile
            self.error = error

    def stop(self) -> None:
        """End the thread and wait for it."""
        self._stopped.set()
        self.join()
