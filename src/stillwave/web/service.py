"""What the requests of one process share."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from stillwave.web.catalogue import Catalogue
from stillwave.web.jobs import JobPool
from stillwave.web.problems import Problem
from stillwave.web.settings import Settings
from stillwave.web.spool import Spool


class Service:
    """Models, threads and temporary files of one process.

    Args:
        settings: Limits and defaults.

    """

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        self.catalogue = Catalogue(settings.model)
        self.spool = Spool()
        self.pool = JobPool(settings.threads, settings.max_requests)
        self.draining = False
        self.running = 0
        """Requests in progress."""

    @contextmanager
    def busy(self) -> Iterator[None]:
        """Count a request that a service which is being stopped waits for. Raises Problem if it is."""
        if self.draining:
            raise Problem("draining", "the service is being stopped; try another one", 5)
        self.running += 1
        try:
            yield
        finally:
            self.running -= 1

    def models(self) -> list[dict[str, Any]]:
        """Return the models for `GET /v1/models`."""
        return self.catalogue.entries()

    def close(self) -> None:
        """End the threads and remove the temporary files."""
        self.pool.close()
        self.spool.close()
