"""What people see on the terminal. Everything goes to stderr: stdout is for results and pipes."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sized
from contextlib import contextmanager, nullcontext
from typing import TypeVar

from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)

T = TypeVar("T")

err = Console(stderr=True, soft_wrap=True)
_shown = False


@contextmanager
def _alone() -> Iterator[bool]:
    """Whether no display is shown yet. A terminal has one place for them: rich before 14.1 raises at a second one."""
    global _shown
    if _shown:
        yield False
        return
    _shown = True
    try:
        yield True
    finally:
        _shown = False


@contextmanager
def progress_bar() -> Iterator[Progress]:
    """A progress display; add tasks to it, and put figures into a task's `note` field.

    Within another display it shows nothing.
    """
    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
        TimeRemainingColumn(),
        TextColumn("{task.fields[note]}"),
    )
    with _alone() as alone, Progress(*columns, console=err, transient=False, disable=not alone) as progress:
        yield progress


@contextmanager
def waiting(what: str) -> Iterator[None]:
    """Say that something is done of which nobody knows how far it is; nothing within another display."""
    with _alone() as alone, err.status(what) if alone else nullcontext():
        yield


def track(items: Iterable[T], description: str, total: int | None = None) -> Iterator[T]:
    """Iterate with a progress bar."""
    if total is None and isinstance(items, Sized):
        total = len(items)
    with progress_bar() as progress:
        task = progress.add_task(description, total=total, note="")
        for item in items:
            yield item
            progress.advance(task)
