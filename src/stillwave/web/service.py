"""What the requests of one process share."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from stillwave.web.catalogue import Catalogue
from stillwave.web.jobs import JobPool
from stillwave.web.metrics import Metrics
from stillwave.web.problems import Problem
from stillwave.web.settings import Settings
from stillwave.web.spool import Spool
from stillwave.web.streams import Streams


class Service:
    """Models, threads and temporary files of one process.

    Args:
        settings: Limits and defaults.
        metrics: Counters of the process.

    """

    def __init__(self, settings: Settings, metrics: Metrics) -> None:
        self.settings, self.metrics = settings, metrics
        self.catalogue = Catalogue(settings.model)
        self.spool = Spool()
        self.pool = JobPool(settings.threads, settings.max_requests)
        self.streams = Streams(self.catalogue, settings.threads, settings.max_streams, self._watch)
        metrics.stream_capacity.set(self.streams.capacity)
        self.draining = asyncio.Event()
        """Set when open streams are to end."""
        self.running = self.greeting = 0
        """Requests in progress, and connections whose first message has not come."""

    @contextmanager
    def busy(self) -> Iterator[None]:
        """Count a request that a service which is being stopped waits for. Raises Problem if it is."""
        if self.draining.is_set():
            raise Problem("draining", "the service is being stopped; try another one", 5)
        self.running += 1
        try:
            yield
        finally:
            self.running -= 1

    def models(self) -> list[dict[str, Any]]:
        """Return the models for `GET /v1/models`, with the measured cost of a stream."""
        costs = self.streams.admission.costs
        return [
            {
                **entry,
                "real_time_factor": round(costs[entry["name"]], 4) if costs.get(entry["name"]) else None,
                "streams": self.streams.admission.capacity(entry["name"]) if entry["name"] in costs else 0,
            }
            for entry in self.catalogue.entries()
        ]

    def _watch(self, latencies: list[float]) -> None:
        for latency in latencies:
            self.metrics.stream_latency.observe(latency)

    def close(self) -> None:
        """End the threads and remove the temporary files."""
        self.pool.close()
        self.streams.close()
        self.spool.close()
