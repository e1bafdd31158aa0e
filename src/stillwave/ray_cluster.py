"""Connect to a Ray cluster for the time of a command."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from stillwave.errors import MissingExtraError, StillwaveError


@contextmanager
def connected(option: str) -> Iterator[Any]:
    """Yield the module `ray`, connected to the cluster of RAY_ADDRESS or of this machine, or to one started here.

    A cluster that was started here is stopped at the end. Raises MissingExtraError, which names `option`, without Ray,
    and StillwaveError if there is no cluster and none can be started.
    """
    try:
        import ray
    except ImportError:
        raise MissingExtraError(option, "cluster") from None
    started_here = not ray.is_initialized()
    if started_here:
        try:
            ray.init(log_to_driver=False, logging_level=logging.ERROR)
        except (ConnectionError, RuntimeError, ValueError) as error:
            raise StillwaveError(f"cannot connect to or start a Ray cluster: {error}") from None
    try:
        yield ray
    finally:
        if started_here:
            ray.shutdown()
