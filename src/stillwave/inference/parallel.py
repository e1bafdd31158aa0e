"""Enhance many files in parallel threads that share one network, which releases the GIL.

Each file is one task, independent of the others: any number of threads gives the same bytes.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Generator, Sequence
from concurrent.futures import CancelledError, ThreadPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from stillwave.errors import StillwaveError, fault_text
from stillwave.files import remove_left_over
from stillwave.inference.batch import FileJob
from stillwave.inference.files import FileReport, enhance_file

if TYPE_CHECKING:
    from stillwave.inference.enhancer import Enhancer


@dataclass(frozen=True)
class FileResult:
    """Result of a job: a report, or an error in one sentence."""

    job: FileJob
    report: FileReport | None = None
    error: str = ""


@dataclass(frozen=True)
class Decision:
    """How one file is enhanced, decided before it is."""

    limit_db: float | None
    version: Literal["original", "enhanced"]
    """What the output is; `original` for a limit of 0 dB."""
    reason: str


class Watcher:
    """Receives the progress of a batch, from its threads. The base class ignores it."""

    def begin(self, job: FileJob) -> None:
        """Report the start of a file."""

    def expect(self, job: FileJob, frames: int) -> None:
        """Report the length of a file in frames."""

    def advance(self, job: FileJob, frames: int) -> None:
        """Report that `frames` more frames were written."""

    def end(self, result: FileResult) -> None:
        """Report that a file is done or has failed."""


def run(
    enhancer: Enhancer,
    jobs: Sequence[FileJob],
    threads: int = 1,
    watcher: Watcher | None = None,
    decide: Callable[[Path], Decision] | None = None,
    **options: Any,
) -> Generator[FileResult, None, None]:
    """Enhance files in parallel and yield their results in the order of `jobs`.

    `decide` returns how a source is enhanced, from the threads; its decision and reason are in the report.

    The failure of a file is its result and stops no other file. When the caller stops iterating (Ctrl-C), files in
    progress are abandoned at their next block. Temporary files that a killed process left next to the targets are
    removed first.
    """
    batch = _Batch(enhancer, watcher or Watcher(), decide, options)
    for folder in {job.target.parent for job in jobs}:
        remove_left_over(folder)
    pool = ThreadPoolExecutor(max(1, min(threads, len(jobs))), "enhance")
    try:
        futures = [pool.submit(batch.enhance, job) for job in jobs]
        for future in futures:
            yield future.result()
    finally:
        batch.stop.set()
        pool.shutdown(cancel_futures=True)


def enhance_one(enhancer: Enhancer, job: FileJob, options: dict[str, Any]) -> FileResult:
    """Enhance a file; a failure is the result."""
    return _Batch(enhancer, Watcher(), None, options).enhance(job)


class _Batch:
    def __init__(
        self,
        enhancer: Enhancer,
        watcher: Watcher,
        decide: Callable[[Path], Decision] | None,
        options: dict[str, Any],
    ) -> None:
        self.enhancer, self.watcher, self.decide, self.options = enhancer, watcher, decide, options
        self.stop = threading.Event()

    def enhance(self, job: FileJob) -> FileResult:
        self._check()
        self.watcher.begin(job)

        def advance(frames: int) -> None:
            self._check()
            self.watcher.advance(job, frames)

        try:
            options = self.options
            decision = self.decide(job.source) if self.decide else None
            if decision:
                options = {**options, "limit_db": decision.limit_db}
            report = enhance_file(
                self.enhancer,
                job.source,
                job.target,
                progress=advance,
                expect=lambda frames: self.watcher.expect(job, frames),
                **options,
            )
            if decision:
                report = replace(report, version=decision.version, reason=decision.reason)
            result = FileResult(job, report)
        except StillwaveError as error:
            result = FileResult(job, error=fault_text(error))
        except Exception as error:  # any failure concerns this file only
            self._check()
            result = FileResult(job, error=f"{job.source}: {fault_text(error)}")
        self.watcher.end(result)
        return result

    def _check(self) -> None:
        if self.stop.is_set():
            raise CancelledError
