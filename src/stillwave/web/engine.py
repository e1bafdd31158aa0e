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
from stillwave.web.sessions import Session

logger = logging.getLogger("stillwave.web")

MOST_STREAMS = 64
"""Greatest number of streams in one call, which bounds the time that new blocks wait."""

Result = tuple[Session, bytes, bool]
"""A session, samples for it, and whether they are the last."""


class EngineThread(threading.Thread):
    """A thread with its streams.

    Args:
        backend: Returns the backend of a model.
        loop: Event loop of the sessions.
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
        """Sum of the costs of its streams, kept by the engine."""
        self._backend, self._loop, self._watch = backend, loop, watch
        self._batches: dict[str, StreamBatch] = {}
        self._sessions: list[Session] = []
        self._new: list[Session] = []
        self._news = threading.Event()
        self._stopped = False

    def add(self, session: Session) -> None:
        """Take over a session."""
        self._new.append(session)
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
        took = [session for session in self._sessions if session.intake(MOST_FRAMES)]
        ready = [session for session in self._sessions if session.ready()]
        active = set(map(id, ready))
        results: list[Result] = [(one, b"", one.over) for one in took if id(one) not in active]
        latencies: list[float] = []
        models = {session.model for session in ready}
        for model in models:
            group = [session for session in ready if session.model == model]
            for first in range(0, len(group), MOST_STREAMS):
                results += self._processed(model, group[first : first + MOST_STREAMS], latencies)
        if results:
            self._loop.call_soon_threadsafe(self._deliver, results, latencies)
        return bool(ready)

    def _update(self) -> None:
        """Add new sessions and release closed ones."""
        while self._new:
            session = self._new.pop(0)
            session.open(self._batch(session.model))
            self._sessions.append(session)
        for session in [session for session in self._sessions if session.closed]:
            self._sessions.remove(session)
            if session.stream is not None:
                self._batch(session.model).close(session.stream)

    def _batch(self, model: str) -> StreamBatch:
        if model not in self._batches:
            self._batches[model] = StreamBatch(self._backend(model))
        return self._batches[model]

    def _processed(self, model: str, group: Sequence[Session], latencies: list[float]) -> list[Result]:
        streams = [session.stream for session in group if session.stream is not None]
        try:
            samples = self._step(model, streams)
        except Exception as error:  # a fault of the runtime ends these streams, not the service
            logger.error("%d streams failed: %s", len(group), fault_text(error))
            for session in group:
                session.fail()
            return [(session, b"", True) for session in group]
        found = [(session, *session.result(part)) for session, part in zip(group, samples, strict=True)]
        latencies += [session.latency for session in group]
        return found

    def _step(self, model: str, streams: list[BatchedStream]) -> list[Samples]:
        return self._batch(model).step(streams)

    def _deliver(self, results: list[Result], latencies: list[float]) -> None:
        for session, data, ended in results:
            session.deliver(data, ended)
        self._watch(latencies)
