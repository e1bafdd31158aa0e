"""Stop in order: on a signal, refuse new requests, end streams, and wait for what is in progress."""

from __future__ import annotations

import asyncio
import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType
from typing import Any

from stillwave.web.service import Service

SIGNALS = (signal.SIGTERM, signal.SIGINT)


@contextmanager
def drained_by_signals(service: Service) -> Iterator[None]:
    """Drain the service before the server's own handler of a signal stops it; a second Ctrl-C stops it at once."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    loop = asyncio.get_running_loop()
    stops: dict[int, Any] = {number: signal.getsignal(number) for number in SIGNALS}

    def drain(number: int, frame: FrameType | None) -> None:
        received.append(number)
        if received.count(signal.SIGINT) > 1:
            _stop(stops[number], number, frame)
        loop.call_soon_threadsafe(begin, number)

    def begin(number: int) -> None:
        if not service.draining.is_set():
            service.draining.set()
            tasks.append(loop.create_task(finish(number)))

    async def finish(number: int) -> None:
        deadline = loop.time() + service.settings.drain_seconds
        while service.running and loop.time() < deadline:
            await asyncio.sleep(0.05)
        _stop(stops[number], number, None)

    received: list[int] = []
    tasks: list[asyncio.Task[None]] = []
    for number in stops:
        signal.signal(number, drain)
    try:
        yield
    finally:
        for number, stop in stops.items():
            signal.signal(number, stop)


def _stop(handler: Any, number: int, frame: FrameType | None) -> None:
    if callable(handler):
        handler(number, frame)
