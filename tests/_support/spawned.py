"""What a spawned process does; on its own, so that the process need not import PyTorch."""

from __future__ import annotations

from typing import Any


def work(task: tuple[Any, Any, Any]) -> tuple[Any, Any]:
    """Enhance samples, and give them to a stream."""
    enhancer, stream, samples = task
    return enhancer.enhance(samples, 16_000), stream.process(samples)
