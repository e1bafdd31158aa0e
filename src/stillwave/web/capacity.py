"""How many streams fit: the measured cost of one, and admission by the sum of the costs."""

from __future__ import annotations

import time
from concurrent.futures import ThreadPoolExecutor

import numpy as np

from stillwave.inference.backend import Backend
from stillwave.inference.stream_batch import StreamBatch
from stillwave.web.problems import Problem

USABLE = 0.6
"""Share of the threads' time for streams; the rest is for connections, for files and for variation."""
_STREAMS, _RATE = 16, 48_000
_SECONDS = 0.4
RETRY_SECONDS = 10


def measure(backend: Backend, threads: int) -> float:
    """Return the time that one stream needs: seconds of a thread per second of sound, with all threads busy.

    It is measured with 16 streams at 48 kHz in each thread, by the clock, so other programs and limits of a container
    count.
    """
    with ThreadPoolExecutor(threads) as pool:
        return max(pool.map(lambda _: _measured(backend), range(threads)))


def _measured(backend: Backend) -> float:
    batch = StreamBatch(backend)
    streams = [batch.open(_RATE) for _ in range(_STREAMS)]
    frame = round(backend.hop * _RATE / backend.sample_rate)
    block = 0.1 * np.random.default_rng(0).standard_normal((1, frame)).astype(np.float32)
    costs: list[float] = []
    begun = time.perf_counter()
    while time.perf_counter() - begun < _SECONDS or len(costs) < 4:
        start = time.perf_counter()
        for stream in streams:
            stream.push(block)
        ready = [stream for stream in streams if stream.frames]
        if ready:
            batch.step(ready)
            costs.append(time.perf_counter() - start)
    return float(np.mean(costs)) / _STREAMS / (backend.hop / backend.sample_rate)


class Admission:
    """Admits streams while the sum of their costs fits.

    Args:
        costs: Cost of a stream by model, as `measure` returns it.
        threads: Number of threads.
        most: Number of streams to admit whatever they cost; 0 to admit by cost.

    """

    def __init__(self, costs: dict[str, float], threads: int, most: int = 0) -> None:
        self.costs, self.budget, self._most = costs, USABLE * threads, most
        self.streams = 0
        self.load = 0.0

    def capacity(self, model: str) -> int:
        """Return how many streams of a model are admitted at once: one at least."""
        return self._most or max(1, int(self.budget / self.costs[model]))

    def check(self, model: str, channels: int = 1) -> None:
        """Raise Problem if another stream does not fit."""
        fits = not self.streams or self.load + channels * self.costs[model] <= self.budget
        if not (self.streams < self._most if self._most else fits):
            raise Problem(
                "full",
                f"all streams that this machine can serve in real time are taken ({self.streams}); try again later",
                RETRY_SECONDS,
            )

    def add(self, model: str, channels: int) -> float:
        """Count a stream and return its cost. Raises Problem if it does not fit."""
        self.check(model, channels)
        cost = channels * self.costs[model]
        self.streams += 1
        self.load += cost
        return cost

    def remove(self, cost: float) -> None:
        """Count the end of a stream."""
        self.streams -= 1
        self.load = self.load - cost if self.streams else 0.0
