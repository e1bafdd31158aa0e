"""Tasks in parallel processes, results in the order of the tasks."""

from __future__ import annotations

import signal
from collections.abc import Callable, Iterator, Sequence
from typing import Any, TypeVar

from stillwave.errors import StillwaveError

T = TypeVar("T")


def run(function: Callable[..., T], tasks: Sequence[tuple[Any, ...]], jobs: int) -> Iterator[T]:
    """`function(*task)` of every task, in `jobs` processes; one job is this process.

    Raises what a task raises, and StillwaveError where a process is ended from outside.
    """
    jobs = min(jobs, len(tasks))
    return _in_processes(function, tasks, jobs) if jobs > 1 else (function(*task) for task in tasks)


def _in_processes(function: Callable[..., T], tasks: Sequence[tuple[Any, ...]], jobs: int) -> Iterator[T]:
    from joblib import Parallel, delayed, parallel_config
    from joblib.externals.loky.process_executor import TerminatedWorkerError

    try:
        with parallel_config(backend="loky", inner_max_num_threads=1, initializer=_leave_ctrl_c):
            # Files take from 50 ms to seconds: one at a time keeps all processes busy to the end.
            pool = Parallel(n_jobs=jobs, return_as="generator", batch_size=1)
            yield from pool(delayed(function)(*task) for task in tasks)
    except TerminatedWorkerError:
        raise StillwaveError(
            "a scoring process was ended from outside, perhaps for want of memory; try fewer jobs"
        ) from None


def _leave_ctrl_c() -> None:
    """Ctrl-C reaches every process of a terminal; the parent ends the others, which have nothing to say."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
