"""Live streams as the service uses them: admitted, and on the thread with the least load."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from stillwave.errors import StillwaveError
from stillwave.inference.backend import Backend
from stillwave.web.capacity import Admission, measure
from stillwave.web.catalogue import Catalogue
from stillwave.web.client_stream import ClientStream
from stillwave.web.problems import Problem
from stillwave.web.stream_thread import StreamThread

_KEEP_CLEAN = "+keep_clean"
"""Suffix of the model of streams that keep clean sound: they share calls of the network among themselves."""


class Streams:
    """Live streams of all models. Creating it measures the cost of a stream of each, unless `most` is given.

    Args:
        catalogue: The models.
        threads: Number of threads.
        most: Number of streams to admit; 0 for what fits.
        watch: Called with the latencies of each round, in seconds.

    """

    def __init__(
        self, catalogue: Catalogue, threads: int, most: int, watch: Callable[[list[float]], None]
    ) -> None:
        self._catalogue = catalogue
        able = [name for name in catalogue.names() if self._fits(name)]
        costs = {name: 0.0 if most else measure(self.backend(name), threads) for name in able}
        self.admission = Admission(costs, threads, most)
        loop = asyncio.get_running_loop()
        self._threads = [StreamThread(self.backend, loop, watch) for _ in range(threads)]
        for thread in self._threads:
            thread.start()

    def backend(self, model: str) -> Backend:
        """Return the backend of a model. Raises StillwaveError for one that cannot stream."""
        name = model.removesuffix(_KEEP_CLEAN)
        found = self._catalogue.enhancer(name, keep_clean=name != model).backend
        if found is None or found.microphones != 1:
            raise StillwaveError(f"{model}: cannot stream; choose a causal model for one microphone")
        return found

    def _fits(self, model: str) -> bool:
        found = self._catalogue.enhancer(model).backend
        return found is not None and found.microphones == 1

    @property
    def capacity(self) -> int:
        """How many streams of the default model fit."""
        default = self._catalogue.default
        return self.admission.capacity(default) if default in self.admission.costs else 0

    def check(self) -> None:
        """Raise Problem if not even the cheapest stream fits."""
        if self.admission.costs:
            self.admission.check(min(self.admission.costs, key=lambda name: self.admission.costs[name]))

    @property
    def alive(self) -> bool:
        """Whether all threads run."""
        return all(thread.is_alive() for thread in self._threads)

    @contextmanager
    def open(
        self, model: str, rate: int, channels: int, format: str, dry_mix: float, keep_clean: bool = False
    ) -> Iterator[ClientStream]:
        """Open a stream; see `ClientStream`; `keep_clean` as in `load`. Raises Problem if it does not fit."""
        base = model.removesuffix("-int8") if model not in self.admission.costs else model
        if base not in self.admission.costs:
            raise Problem("bad-option", "model: cannot stream; choose a causal model for one microphone")
        cost = self.admission.add(base, channels)
        thread = min(self._threads, key=lambda thread: thread.load)
        thread.load += cost
        model += _KEEP_CLEAN if keep_clean else ""
        client = ClientStream(model, rate, channels, format, dry_mix, thread.wake)
        thread.add(client)
        try:
            yield client
        finally:
            client.closed = True
            thread.wake()
            thread.load -= cost
            self.admission.remove(cost)

    def close(self) -> None:
        """End the threads."""
        for thread in self._threads:
            thread.stop()
