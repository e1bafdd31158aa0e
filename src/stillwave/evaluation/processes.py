"""Run tasks in parallel processes, with results in the order of the tasks."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable, Iterator, Sequence
from typing import Any, TypeVar

from stillwave.errors import StillwaveError

T = TypeVar("T")


def run(function: Callable[..., T], tasks: Sequence[tuple[Any, ...]], jobs: int) -> Iterator[T]:
    """Yield `function(*task)` of every task, computed in `jobs` processes; with one job in this process.

    Raises what a task raises, and StillwaveError if a process is killed.
    """
    jobs = min(jobs, len(tasks))
    return _in_processes(function, tasks, jobs) if jobs > 1 else (function(*task) for task in tasks)


def _in_processes(function: Callable[..., T], tasks: Sequence[tuple[Any, ...]], jobs: int) -> Iterator[T]:
    from joblib import Parallel, delayed, parallel_config
    from joblib.externals.loky.process_executor import TerminatedWorkerError

    try:
        with parallel_config(backend="loky", inner_max_num_threads=1, initializer=_ignore_ctrl_c):
            # Files take from 50 ms to seconds: batches of one keep all processes busy to the end.
            pool = Parallel(n_jobs=jobs, return_as="generator", batch_size=1)
            folder = os.getcwd()  # noqa: PTH109 # workers are reused: theirs may be an earlier one
            yield from pool(delayed(_within)(folder, function, task) for task in tasks)
    except TerminatedWorkerError:
        raise StillwaveError("a scoring process was killed, possibly out of memory; use fewer jobs") from None


def _within(folder: str, function: Callable[..., T], task: tuple[Any, ...]) -> T:
    """Return `function(*task)`, with relative paths below `folder`."""
    os.chdir(folder)
    return function(*task)


def _ignore_ctrl_c() -> None:
    """Ignore SIGINT, which a terminal sends to every process: the parent ends the workers."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
