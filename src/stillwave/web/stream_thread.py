"""Threads that enhance live streams: frames of all streams that have arrived are processed in one call.

Each thread has its streams and, for each model, one `StreamBatch`. In a round it decodes what has arrived, processes
the next frames of every stream that has some, and hands the results to the event loop. A stream that sends faster
than real time gets no more of a round than the others; one whose receiver is slow takes no part in it.
"""

from __future__ import annotations

import asyncio
import logging
import threading
from collections.abc import Callable, Sequence

from stillwave.audio import Samples
from stillwave.errors import fault_text
from stillwave.inference.backend import Backend
from stillwave.inference.stream_batch import MOST_FRAMES, BatchedStream, StreamBatch
from stillwave.web.client_stream import ClientStream

logger = logging.getLogger("stillwave.web")

MOST_STREAMS = 64
"""Greatest number of streams in one call, which bounds the time that new blocks wait."""

Result = tuple[ClientStream, bytes, bool]
"""A stream, samples for it, and whether they are the last."""


class StreamThread(threading.Thread):
    """A thread with its streams.

    Args:
        backend: Returns the backend of a model.
        loop: Event loop of the streams.
        watch: Called in the event loop with the latencies of a round, in seconds.

    """

    def __init__(
        self,
        backend: Callable[[str], Backend],
        loop: asyncio.AbstractEventLoop,
        watch: Callable[[list[float]], None],
    ) -> None:
        super().__init__(name="streams", daemon=True)
        self.load = 0.0
        """Sum of the costs of its streams, kept by `Streams`."""
        self._backend, self._loop, self._watch = backend, loop, watch
        self._batches: dict[str, StreamBatch] = {}
        self._clients: list[ClientStream] = []
        self._new: list[ClientStream] = []
        self._news = threading.Event()
        self._stopped = False

    def add(self, client: ClientStream) -> None:
        """Take over a stream."""
        self._new.append(client)
        self._news.set()

    def wake(self) -> None:
        """Let the thread look for blocks."""
        self._news.set()

    def stop(self) -> None:
        """End the thread."""
        self._stopped = True
        self._news.set()

    def run(self) -> None:
        """Process rounds until `stop`."""
        while not self._stopped:
            self._news.wait()
            self._news.clear()
            while self._round() and not self._stopped:
                pass

    def _round(self) -> bool:
        """Process the next frames of all streams; return whether there were any."""
        self._update()
        took = [client for client in self._clients if client.intake(MOST_FRAMES)]
        ready = [client for client in self._clients if client.ready()]
        active = set(map(id, ready))
        results: list[Result] = [(one, b"", one.over) for one in took if id(one) not in active]
        latencies: list[float] = []
        models = {client.model for client in ready}
        for model in models:
            group = [client for client in ready if client.model == model]
            for first in range(0, len(group), MOST_STREAMS):
                results += self._processed(model, group[first : first + MOST_STREAMS], latencies)
        if results:
            self._loop.call_soon_threadsafe(self._deliver, results, latencies)
        return bool(ready)

    def _update(self) -> None:
        """Add new streams and release closed ones."""
        while self._new:
            client = self._new.pop(0)
            client.open(self._batch(client.model))
            self._clients.append(client)
        for client in [client for client in self._clients if client.closed]:
            self._clients.remove(client)
            if client.stream is not None:
                self._batch(client.model).close(client.stream)

    def _batch(self, model: str) -> StreamBatch:
        if model not in self._batches:
            self._batches[model] = StreamBatch(self._backend(model))
        return self._batches[model]

    def _processed(self, model: str, group: Sequence[ClientStream], latencies: list[float]) -> list[Result]:
        streams = [client.stream for client in group if client.stream is not None]
        try:
            samples = self._step(model, streams)
        except Exception as error:  # a fault of the runtime ends these streams, not the service
            logger.error("%d streams failed: %s", len(group), fault_text(error))
            for client in group:
                client.fail()
            return [(client, b"", True) for client in group]
        found = [(client, *client.result(part)) for client, part in zip(group, samples, strict=True)]
        latencies += [client.latency for client in group]
        return found

    def _step(self, model: str, streams: list[BatchedStream]) -> list[Samples]:
        return self._batch(model).step(streams)

    def _deliver(self, results: list[Result], latencies: list[float]) -> None:
        for client, data, ended in results:
            client.deliver(data, ended)
        self._watch(latencies)
