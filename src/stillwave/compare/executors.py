"""Run the jobs of a grid in parallel: on this machine (joblib) or on a cluster (Ray).

Each job is a process of its own, started and watched here. The workers of joblib and Ray do not replace it: they serve
several jobs, so that one that runs out of memory ends the others too, a run could not write its last checkpoint on
Ctrl-C or after the parent was killed, and peak memory and the number of threads would not be those of one cell.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from stillwave.compare.work import Job, encode
from stillwave.ray_cluster import connected

Stop = Callable[[], bool]
Executor = Callable[[Sequence[Job], int, Stop], Iterator["JobResult"]]

_POLL_SECONDS = 0.2
_GRACE_SECONDS = 120.0
"""The time that a process has to write its last checkpoint."""
_THREADS = ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS", "NUMEXPR_NUM_THREADS")


@dataclass(frozen=True)
class JobResult:
    """How a job ended; `sentence` is the reason of a failure."""

    folder: str
    status: Literal["done", "failed", "stopped"]
    sentence: str = ""


def in_own_process(job: Job, stop: Stop = lambda: False) -> JobResult:
    """Run a job in a new process and wait for it. A failure of the job is a result, not an exception.

    When `stop` returns true, or this process ends, the process of the job writes a checkpoint and ends.
    """
    if stop():
        return JobResult(job.folder, "stopped")
    try:
        with _started(job) as process:
            was_stopped = _wait(process, stop)
            return _outcome(job, process, was_stopped)
    except OSError as error:
        where = f"{error.filename}: " if error.filename else ""
        return JobResult(job.folder, "failed", f"cannot be started: {where}{error.strerror or error}")


@contextmanager
def _started(job: Job) -> Iterator[subprocess.Popen[bytes]]:
    """Start the process of a job; it is ended when the block is left."""
    log = Path(job.log)
    log.parent.mkdir(parents=True, exist_ok=True)
    with log.open("ab") as messages:
        process = subprocess.Popen(
            [sys.executable, "-m", "stillwave.compare", encode(job)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=messages,
            cwd=job.cwd,
            env={**os.environ, **dict.fromkeys(_THREADS, str(job.threads))},
            start_new_session=True,  # Ctrl-C is passed on by this process
        )
    try:
        yield process
    finally:
        _end(process)


def _wait(process: subprocess.Popen[bytes], stop: Stop) -> bool:
    """Wait until a process ends; return whether it was asked to."""
    was_stopped = False
    while True:
        try:
            process.wait(_POLL_SECONDS)
        except subprocess.TimeoutExpired:
            if stop() and not was_stopped:
                was_stopped = True
                _ask_to_end(process)
        else:
            return was_stopped


def _ask_to_end(process: subprocess.Popen[bytes]) -> None:
    """Close the standard input of a process, which then ends (`work.stop_with_parent`)."""
    assert process.stdin is not None
    process.stdin.close()


def _end(process: subprocess.Popen[bytes]) -> None:
    _ask_to_end(process)
    try:
        process.wait(_GRACE_SECONDS)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
    assert process.stdout is not None
    process.stdout.close()


def _outcome(job: Job, process: subprocess.Popen[bytes], was_stopped: bool) -> JobResult:
    assert process.stdout is not None
    lines = process.stdout.read().decode("utf-8", "replace").splitlines()
    if process.returncode == 0:
        return JobResult(job.folder, "done")
    if was_stopped:
        return JobResult(job.folder, "stopped")
    try:
        sentence = str(json.loads(lines[-1])["sentence"])
    except (IndexError, ValueError, KeyError, TypeError):
        sentence = _exit_reason(process.returncode, job)
    return JobResult(job.folder, "failed", sentence)


def _exit_reason(code: int, job: Job) -> str:
    if code < 0:
        return f"its process was killed (signal {-code}), possibly out of memory"
    return f"its process failed (exit code {code}); see {job.log}"


def with_joblib(jobs: Sequence[Job], at_once: int, stop: Stop) -> Iterator[JobResult]:
    """Run `at_once` jobs in parallel on this machine. Threads suffice, since each waits for a process."""
    from joblib import Parallel, delayed

    pool = Parallel(n_jobs=min(at_once, len(jobs)), backend="threading", return_as="generator_unordered",
                    batch_size=1, pre_dispatch="all")  # fmt: skip
    yield from pool(delayed(in_own_process)(job, stop) for job in jobs)


def with_ray(jobs: Sequence[Job], at_once: int, stop: Stop) -> Iterator[JobResult]:
    """Run jobs on the Ray cluster of RAY_ADDRESS or of this machine, otherwise on one that is started here.

    The grid's folder, the recordings and the test set must have the same paths on all machines.
    """
    with connected("--executor ray") as ray:
        yield from _on_ray(ray, jobs, at_once, stop)


def _on_ray(ray: Any, jobs: Sequence[Job], at_once: int, stop: Stop) -> Iterator[JobResult]:
    waiting, running = list(reversed(jobs)), dict[Any, Job]()
    was_stopped = False
    while waiting or running:
        while waiting and len(running) < at_once and not was_stopped:
            job = waiting.pop()
            options = {
                "num_cpus": job.threads,
                "num_gpus": int(job.device.startswith("cuda")),
                "max_retries": 0,
            }
            running[ray.remote(**options)(in_own_process).remote(job)] = job
        ready, _ = ray.wait(list(running), timeout=_POLL_SECONDS) if running else ([], [])
        for reference in ready:
            yield _of_ray(ray, reference, running.pop(reference))
        if stop() and not was_stopped:
            was_stopped = True
            for reference in running:
                ray.cancel(reference, force=False)  # interrupts the waiting worker, which ends its process
        if was_stopped:
            yield from (JobResult(waiting.pop().folder, "stopped") for _ in range(len(waiting)))


def _of_ray(ray: Any, reference: Any, job: Job) -> JobResult:
    """Return the result of a task; a failure of a machine of the cluster fails this job only."""
    try:
        outcome: JobResult = ray.get(reference)
        return outcome
    except (ray.exceptions.TaskCancelledError, KeyboardInterrupt):
        return JobResult(job.folder, "stopped")
    except ray.exceptions.RayError as error:
        return JobResult(job.folder, "failed", f"Ray: {str(error).strip().splitlines()[-1]}")


EXECUTORS: dict[str, Executor] = {"joblib": with_joblib, "ray": with_ray}
