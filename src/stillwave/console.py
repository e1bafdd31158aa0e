"""Messages and progress on the terminal. Everything goes to stderr: stdout is for results and pipes."""

from __future__ import annotations

import os
import sys
import tempfile
from collections.abc import Callable, Collection, Iterable, Iterator, Sized
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, nullcontext
from typing import Any, TextIO, TypeVar

from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    TaskID,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)

T = TypeVar("T")
Result = TypeVar("Result")

err = Console(stderr=True, soft_wrap=True)
_shown = False
LINE_SECONDS = 20.0
"""Interval of progress lines without a terminal."""


def note(line: str, style: str | None = None) -> None:
    """Print a line to stderr as it is: brackets are no markup, and numbers have no colour."""
    err.print(line, style=style, highlight=False, markup=False)


@contextmanager
def _only_display() -> Iterator[bool]:
    """Yield whether no display is shown yet; rich before 14.1 raises at a second one."""
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
def no_display(quiet: bool = True) -> Iterator[None]:
    """Show no progress and no status within it, if `quiet`."""
    with _only_display() if quiet else nullcontext():
        yield


class Display(Progress):
    """Bars on a terminal; elsewhere (a log file, CI) a line for each task every `LINE_SECONDS`."""

    def __init__(self, *columns: Any, **options: Any) -> None:
        super().__init__(*columns, **options)
        self._started: dict[TaskID, tuple[float, float]] = {}
        self._printed: dict[TaskID, float] = {}

    def add_task(self, description: str, *args: Any, **options: Any) -> TaskID:
        """Add a task, as in rich, whose remaining time is estimated from now on."""
        task = super().add_task(description, *args, **options)
        now = self.get_time()
        self._started[task], self._printed[task] = (now, self._task(task).completed), now
        return task

    def update(self, task_id: TaskID, **changes: Any) -> None:
        """Update a task, as in rich."""
        super().update(task_id, **changes)
        self._print_if_due(task_id)

    def advance(self, task_id: TaskID, advance: float = 1) -> None:
        """Advance a task, as in rich."""
        super().advance(task_id, advance)
        self._print_if_due(task_id)

    def _print_if_due(self, task_id: TaskID) -> None:
        now = self.get_time()
        if self.disable or self.console.is_terminal or now - self._printed[task_id] < LINE_SECONDS:
            return
        self._printed[task_id] = now
        self.console.print(self.line(task_id, now), highlight=False, markup=False)

    def line(self, task_id: TaskID, now: float) -> str:
        """Return progress and note of a task, and its remaining time at the average speed."""
        task, (begun, before) = self._task(task_id), self._started[task_id]
        far = f"{task.completed:.0f}" + ("" if task.total is None else f" of {task.total:.0f}")
        done = task.completed - before
        left = ""
        if task.total is not None and done > 0:
            left = f"{duration((now - begun) / done * max(0.0, task.total - task.completed))} left"
        parts = [f"{task.description}: {far}", str(task.fields.get("note") or ""), left]
        return " · ".join(part for part in parts if part)

    def _task(self, task_id: TaskID) -> Any:
        return next(task for task in self.tasks if task.id == task_id)


def duration(seconds: float | None) -> str:
    """Format seconds.

    Examples:
        >>> duration(7.4), duration(200), duration(4000), duration(None)
        ('7.4 s', '3 min 20 s', '1 h 07 min', '–')

    """
    if seconds is None:
        return "–"
    if seconds < 59.95:
        return f"{seconds:.1f} s"
    whole = round(seconds)
    if whole < 3600:
        return f"{whole // 60} min {whole % 60:02d} s"
    minutes = round(seconds / 60)
    return f"{minutes // 60} h {minutes % 60:02d} min"


@contextmanager
def progress_bar() -> Iterator[Progress]:
    """Show a progress display; add tasks to it, with text in their `note` field.

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
    with (
        _only_display() as is_only,
        Display(*columns, console=err, transient=False, disable=not is_only) as progress,
    ):
        yield progress


@contextmanager
def waiting(what: str) -> Iterator[None]:
    """Show a status without progress; nothing within another display."""
    with _only_display() as is_only, err.status(what) if is_only else nullcontext():
        yield


def track(items: Iterable[T], description: str, total: int | None = None) -> Iterator[T]:
    """Iterate over items with a progress bar."""
    if total is None and isinstance(items, Sized):
        total = len(items)
    with progress_bar() as progress:
        task = progress.add_task(description, total=total, note="")
        for item in items:
            yield item
            progress.advance(task)


_DECODER = (b"[src/libmpg123/", b"Note: ", b"Warning: ")
"""Prefixes of lines of the MP3 decoder, whose faults are raised as errors."""


def in_threads(
    function: Callable[[T], Result], items: Collection[T], description: str, jobs: int | None = None
) -> list[Result]:
    """Return `function` of each item, in order, computed in `jobs` threads (default: one per core, at most 8)."""
    with ThreadPoolExecutor(jobs or min(8, os.cpu_count() or 1)) as pool:
        return list(track(pool.map(function, items), description, total=len(items)))


@contextmanager
def library_noise_hidden() -> Iterator[None]:
    """Hide output of the MP3 decoder to file descriptor 2; other output to it is printed at the end.

    Python's stderr still goes to the terminal. For commands only, because descriptors belong to the process.
    """
    try:
        kept = os.dup(2)
    except OSError:  # a process without stderr
        yield
        return
    with tempfile.TemporaryFile() as caught, os.fdopen(kept, "wb", buffering=0) as terminal:
        python, own = sys.stderr, _on_descriptor(sys.stderr, kept)
        python.flush()
        os.dup2(caught.fileno(), 2)
        sys.stderr = own
        try:
            yield
        finally:
            own.flush()
            sys.stderr = python
            os.dup2(kept, 2)
            caught.seek(0)
            for line in caught:
                if line.strip() and not line.startswith(_DECODER):
                    terminal.write(line)


def _on_descriptor(stream: TextIO, descriptor: int) -> TextIO:
    """Return a stream on `descriptor` if `stream` is the stderr of the process, else `stream`."""
    try:
        own = stream.fileno() == 2
    except (OSError, ValueError):  # in a test or a notebook
        own = False
    if not own:
        return stream
    return open(  # the caller closes the descriptor
        descriptor, "w", buffering=1, encoding=stream.encoding, errors="backslashreplace", closefd=False
    )
