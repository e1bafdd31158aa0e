"""Where jobs run: side by side on this machine (joblib), or over a cluster (Ray). Each in a process of its own."""

from __future__ import annotations

import json
import logging
import os
import subprocess
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from stillwave.compare.work import Job, encode
from stillwave.errors import MissingExtraError, StillwaveError

Stop = Callable[[], bool]
Executor = Callable[[Sequence[Job], int, Stop], Iterator["JobResult"]]

_POLL_SECONDS = 0.2
_GRACE_SECONDS = 120.0
"""What a process has for its last checkpoint."""
_THREADS = ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS", "NUMEXPR_NUM_THREADS")


@dataclass(frozen=True)
class JobResult:
    """How a job ended; `sentence` says why it failed."""

    folder: str
    status: Literal["done", "failed", "stopped"]
    sentence: str = ""


def in_own_process(job: Job, stop: Stop = lambda: False) -> JobResult:
    """Run a job in a new process, and wait. Never raises for what goes wrong with the job.

    When `stop` turns true the process is asked to end, and does with a checkpoint; so it does when this one is gone.
    """
    if stop():
        return JobResult(job.folder, "stopped")
    try:
        with _started(job) as process:
            asked = _wait(process, stop)
            return _outcome(job, process, asked)
    except OSError as error:
        where = f"{error.filename}: " if error.filename else ""
        return JobResult(job.folder, "failed", f"cannot be started: {where}{error.strerror or error}")


@contextmanager
def _started(job: Job) -> Iterator[subprocess.Popen[bytes]]:
    """The job's process; nothing is left of it afterwards, however the waiting ended."""
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
            start_new_session=True,  # Ctrl-C is this process's to pass on
        )
    try:
        yield process
    finally:
        _end(process)


def _wait(process: subprocess.Popen[bytes], stop: Stop) -> bool:
    """Until it ends; whether it was asked to."""
    asked = False
    while True:
        try:
            process.wait(_POLL_SECONDS)
        except subprocess.TimeoutExpired:
            if stop() and not asked:
                asked = True
                _ask_to_end(process)
        else:
            return asked


def _ask_to_end(process: subprocess.Popen[bytes]) -> None:
    """Its standard input ends, and so does it (`work.stop_with_parent`)."""
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


def _outcome(job: Job, process: subprocess.Popen[bytes], asked: bool) -> JobResult:
    assert process.stdout is not None
    said = process.stdout.read().decode("utf-8", "replace").splitlines()
    if process.returncode == 0:
        return JobResult(job.folder, "done")
    if asked:
        return JobResult(job.folder, "stopped")
    try:
        sentence = str(json.loads(said[-1])["sentence"])
    except (IndexError, ValueError, KeyError, TypeError):
        sentence = _unsaid(process.returncode, job)
    return JobResult(job.folder, "failed", sentence)


def _unsaid(code: int, job: Job) -> str:
    if code < 0:
        return f"its process was ended from outside (signal {-code}), perhaps for want of memory"
    return f"its process ended with an error (exit code {code}); see {job.log}"


# --- engines ----------------------------------------------------------------------------------------------


def with_joblib(jobs: Sequence[Job], at_once: int, stop: Stop) -> Iterator[JobResult]:
    """`at_once` jobs side by side on this machine. Threads suffice here: each waits for a process."""
    from joblib import Parallel, delayed

    pool = Parallel(n_jobs=min(at_once, len(jobs)), backend="threading", return_as="generator_unordered",
                    batch_size=1, pre_dispatch="all")  # fmt: skip
    yield from pool(delayed(in_own_process)(job, stop) for job in jobs)


def with_ray(jobs: Sequence[Job], at_once: int, stop: Stop) -> Iterator[JobResult]:
    """On the Ray cluster that RAY_ADDRESS names or that runs on this machine, else on one started here.

    The grid's folder, the recordings and the test set must have the same paths on all of its machines.
    """
    try:
        import ray
    except ImportError:
        raise MissingExtraError("--executor ray", "cluster") from None
    ours = not ray.is_initialized()
    if ours:
        try:
            ray.init(log_to_driver=False, logging_level=logging.ERROR)
        except (ConnectionError, RuntimeError, ValueError) as error:
            raise StillwaveError(f"no Ray cluster can be reached or started: {error}") from None
    try:
        yield from _on_ray(ray, jobs, at_once, stop)
    finally:
        if ours:
            ray.shutdown()


def _on_ray(ray: Any, jobs: Sequence[Job], at_once: int, stop: Stop) -> Iterator[JobResult]:
    waiting, running = list(reversed(jobs)), dict[Any, Job]()
    asked = False
    while waiting or running:
        while waiting and len(running) < at_once and not asked:
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
        if stop() and not asked:
            asked = True
            for reference in running:
                ray.cancel(reference, force=False)  # the process that waits is interrupted, and ends its own
        if asked:
            yield from (JobResult(waiting.pop().folder, "stopped") for _ in range(len(waiting)))


def _of_ray(ray: Any, reference: Any, job: Job) -> JobResult:
    """A task's outcome; what goes wrong with a machine of the cluster fails the job, and no other."""
    try:
        outcome: JobResult = ray.get(reference)
        return outcome
    except (ray.exceptions.TaskCancelledError, KeyboardInterrupt):
        return JobResult(job.folder, "stopped")
    except ray.exceptions.RayError as error:
        return JobResult(job.folder, "failed", f"Ray: {str(error).strip().splitlines()[-1]}")


EXECUTORS: dict[str, Executor] = {"joblib": with_joblib, "ray": with_ray}
