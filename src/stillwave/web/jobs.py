"""A pool of threads for recordings: a bounded number of requests, each of which can be cancelled."""

from __future__ import annotations

import asyncio
import os
import sys
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from typing import TypeVar

from stillwave.errors import StillwaveError
from stillwave.web.problems import Problem

T = TypeVar("T")
_RETRY_SECONDS = 5
_NICE = 10
"""Added niceness of the threads, so that files do not delay live streams."""


class JobCancelledError(StillwaveError):
    """The request of a job has ended."""


class JobPool:
    """Threads that enhance files, and admission to them.

    Args:
        threads: Jobs that run at once.
        most: Requests that may wait or run at once.

    """

    def __init__(self, threads: int, most: int) -> None:
        self._most = most
        self.admitted = 0
        """Requests that wait or run."""
        self._threads = ThreadPoolExecutor(threads, "enhance", initializer=_lower_priority)

    @contextmanager
    def admission(self) -> Iterator[None]:
        """Hold a place for one request. Raises Problem if all places are taken."""
        if self.admitted >= self._most:
            raise Problem("full", f"{self._most} recordings are in progress; try again later", _RETRY_SECONDS)
        self.admitted += 1
        try:
            yield
        finally:
            self.admitted -= 1

    def submit(self, work: Callable[[], T]) -> asyncio.Future[T]:
        """Run `work` in a thread; several wait in order."""
        return asyncio.wrap_future(self._threads.submit(work))

    def close(self) -> None:
        """End the threads after their jobs."""
        self._threads.shutdown(wait=False, cancel_futures=True)


def _lower_priority() -> None:
    if sys.platform == "linux":  # elsewhere, niceness belongs to the process
        with suppress(OSError):
            os.setpriority(os.PRIO_PROCESS, threading.get_native_id(), _NICE)


class Cancellation:
    """Ends a job at its next block."""

    def __init__(self) -> None:
        self._event = threading.Event()

    def set(self) -> None:
        """End the job."""
        self._event.set()

    def check(self) -> None:
        """Raise JobCancelledError if the job is to end."""
        if self._event.is_set():
            raise JobCancelledError("cancelled")
