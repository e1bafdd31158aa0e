"""Counters of the service for Prometheus: what is done, how fast, and what is refused. No names, no addresses."""

from __future__ import annotations

import os

from prometheus_client import (
    CollectorRegistry,
    Counter,
    Gauge,
    Histogram,
    disable_created_metrics,
    generate_latest,
)
from prometheus_client.multiprocess import MultiProcessCollector
from prometheus_client.process_collector import ProcessCollector
from starlette.types import ASGIApp, Message, Receive, Scope, Send

MULTIPROCESS = "PROMETHEUS_MULTIPROC_DIR"
"""Environment variable with the folder in which several processes collect their counters."""
disable_created_metrics()  # type: ignore[no-untyped-call]
_LATENCIES = (0.005, 0.01, 0.02, 0.03, 0.05, 0.075, 0.1, 0.2, 0.5, 1.0, 2.0)


class Metrics:
    """The counters of one process."""

    def __init__(self) -> None:
        self._registry = registry = CollectorRegistry()
        self.requests = Counter(
            "stillwave_requests", "Requests by route and status.", ["route", "status"], registry=registry
        )
        self.recordings = _gauge("recordings", "Recordings that wait or are processed.", registry)
        self.recording_seconds = Counter(
            "stillwave_recording_seconds", "Seconds of recordings enhanced.", registry=registry
        )
        self.streams = _gauge("streams", "Open streams.", registry)
        self.stream_capacity = _gauge("stream_capacity", "Streams of the default model that fit.", registry)
        self.streams_refused = Counter(
            "stillwave_streams_refused", "Streams refused because none fitted.", registry=registry
        )
        self.stream_latency = Histogram(
            "stillwave_stream_latency_seconds",
            "Time from the arrival of a block to its result.",
            buckets=_LATENCIES,
            registry=registry,
        )
        if MULTIPROCESS not in os.environ:
            ProcessCollector(registry=registry)

    def text(self) -> bytes:
        """Return all counters, those of other worker processes included, in the text format of Prometheus."""
        if MULTIPROCESS not in os.environ:
            return generate_latest(self._registry)
        registry = CollectorRegistry()
        MultiProcessCollector(registry)  # type: ignore[no-untyped-call]
        return generate_latest(registry)


def _gauge(name: str, text: str, registry: CollectorRegistry) -> Gauge:
    """Return a gauge, which is summed over worker processes."""
    return Gauge(f"stillwave_{name}", text, multiprocess_mode="livesum", registry=registry)


class Counted:
    """Middleware that counts requests by the pattern of their route and by status."""

    def __init__(self, app: ASGIApp, metrics: Metrics) -> None:
        self.app, self._metrics = app, metrics

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request."""
        if scope["type"] == "lifespan":
            await self.app(scope, receive, send)
            return
        status = "101" if scope["type"] == "websocket" else "499"

        async def sending(message: Message) -> None:
            nonlocal status
            if message["type"] in ("http.response.start", "websocket.http.response.start"):
                status = str(message["status"])
            await send(message)

        try:
            await self.app(scope, receive, sending)
        finally:
            route = getattr(scope.get("route"), "path", "other")
            self._metrics.requests.labels(route, status).inc()
