"""Markdown tables."""

from __future__ import annotations

from collections.abc import Iterator


def row(*cells: str) -> str:
    """Return a line of a table."""
    return f"| {' | '.join(cells)} |"


def head(*cells: str) -> Iterator[str]:
    """Yield the first two lines."""
    yield row(*cells)
    yield row(*["---"] * len(cells))
