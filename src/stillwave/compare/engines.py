"""Where jobs run: side by side on this machine (joblib), or over a cluster (Ray). Each in a process of its own."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from stillwave.compare.work import Job, encode
from stillwave.errors import MissingExtraError, StillwaveError

Stop = Callable[[], bool]
Engine = Callable[[Sequence[Job], int, Stop], Iterator["Outcome"]]

_POLL_SECONDS = 0.2
_THREADS = ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS", "NUMEXPR_NUM_THREADS")


@dataclass(frozen=True)
class Outcome:
    """How a job ended; `sentence` says why it failed."""

    folder: str
    status: Literal["done", "failed", "stopped"]
    sentence: str = ""


def in_own_process(job: Job, stop: Stop = lambda: False) -> Outcome:
    """Run a job in a new process, and wait. When `stop` turns true the process is asked to end, and does with a
    checkpoint; so it does when this process is gone.
    """
    if stop():
        return Outcome(job.folder, "stopped")
    log = Path(job.log)
    log.parent.mkdir(parents=True, exist_ok=True)
    environment = {**os.environ, **dict.fromkeys(_THREADS, str(job.threads))}
    with log.open("ab") as messages:
        process = subprocess.Popen(
            [sys.executable, "-m", "stillwave.compare", encode(job)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=messages,
            cwd=job.cwd,
            env=environment,
            start_new_session=True,  # Ctrl-C is this process's to pass on
        )
        try:
            asked = _wait(process, stop)
        finally:
            _end(process)
    return _outcome(job, process, asked)


def _wait(process: subprocess.Popen[bytes], stop: Stop) -> bool:
    """Until it ends; whether it was asked to."""
    asked = False
    while True:
        try:
            process.wait(_POLL_SECONDS)
        except subprocess.TimeoutExpired:
            if stop() and not asked:
                asked = True
                assert process.stdin is not None
                process.stdin.close()
        else:
            return asked


def _end(process: subprocess.Popen[bytes]) -> None:
    """Nothing is left behind, however the waiting ended."""
    if process.stdin is not None and not process.stdin.closed:
        process.stdin.close()
    if process.poll() is None:
        process.kill()
        process.wait()


def _outcome(job: Job, process: subprocess.Popen[bytes], asked: bool) -> Outcome:
    assert process.stdout is not None
    with process.stdout as stream:
        said = stream.read().decode("utf-8", "replace").splitlines()
    if process.returncode == 0:
        return Outcome(job.folder, "done")
    if asked:
        return Outcome(job.folder, "stopped")
    try:
        sentence = str(json.loads(said[-1])["sentence"])
    except (IndexError, ValueError, KeyError, TypeError):
        sentence = _unsaid(process.returncode, job)
    return Outcome(job.folder, "failed", sentence)


def _unsaid(code: int, job: Job) -> str:
    if code < 0:
        return f"its process was ended from outside (signal {-code}), perhaps for want of memory"
    return f"its process ended with an error (exit code {code}); see {job.log}"


# --- engines ----------------------------------------------------------------------------------------------


def with_joblib(jobs: Sequence[Job], at_once: int, stop: Stop) -> Iterator[Outcome]:
    """`at_once` jobs side by side on this machine. Threads suffice here: each waits for a process."""
    from joblib import Parallel, delayed

    pool = Parallel(n_jobs=min(at_once, len(jobs)), backend="threading", return_as="generator_unordered",
                    batch_size=1, pre_dispatch="all")  # fmt: skip
    yield from pool(delayed(in_own_process)(job, stop) for job in jobs)


def with_ray(jobs: Sequence[Job], at_once: int, stop: Stop) -> Iterator[Outcome]:
    """On the Ray cluster that RAY_ADDRESS names or this machine belongs to, else on one started here.

    The grid's folder, the data and the test set must have the same paths on all of its machines.
    """
    raise NotImplementedError


ENGINES: dict[str, Engine] = {"joblib": with_joblib, "ray": with_ray}

_unused: tuple[Any, ...] = (threading, MissingExtraError, StillwaveError)
