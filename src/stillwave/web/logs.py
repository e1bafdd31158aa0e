"""What the service logs: its own faults. Faults of clients are answered and counted, and would fill the log."""

from __future__ import annotations

import copy
import logging
from typing import Any

from uvicorn.config import LOGGING_CONFIG

_CLIENTS = (
    "Invalid HTTP request",
    "Invalid UTF-8",
    "Unsupported upgrade request",
    "ASGI callable returned without completing",
    "Exceeded concurrency limit",
    "Cancel ",  # requests that outlast the time for draining
)
"""Beginnings of uvicorn's messages on clients that send garbage or leave."""


class WithoutClients(logging.Filter):
    """Drops messages on faults of clients."""

    def filter(self, record: logging.LogRecord) -> bool:
        """Return whether the record is logged."""
        return not str(record.msg).startswith(_CLIENTS)


def config() -> dict[str, Any]:
    """Return the configuration of logging for uvicorn."""
    found = copy.deepcopy(LOGGING_CONFIG)
    found["filters"] = {"without_clients": {"()": WithoutClients}}
    found["handlers"]["default"]["filters"] = ["without_clients"]
    found["loggers"]["stillwave"] = {"handlers": ["default"], "level": "WARNING", "propagate": False}
    return found
