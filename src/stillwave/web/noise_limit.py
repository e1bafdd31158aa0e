"""The limit of the reduction of noise, as files and live streams state it."""

from __future__ import annotations

from stillwave.inference.pipeline import limit_of_strength
from stillwave.web.problems import Problem


def limit_of(limit_db: float | None, strength: float | None) -> float | None:
    """Return the limit in dB that `limit_db` or `strength` sets; None for no limit.

    Raises Problem if both are given.
    """
    if strength is None:
        return limit_db
    if limit_db is not None:
        raise Problem("bad-option", "strength: sets the same limit as limit_db; give one of them")
    return limit_of_strength(strength)
