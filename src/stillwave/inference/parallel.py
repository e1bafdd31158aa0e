"""Many recordings at once, on threads: the network releases Python's lock, so that threads share one copy of it.

A file is one task, whose samples depend on no other: any number of threads gives the same bytes.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator, Sequence
from concurrent.futures import CancelledError, ThreadPoolExecutor
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from stillwave.errors import StillwaveError, fault_text
from stillwave.files import remove_left_over
from stillwave.inference.batch import FileJob
from stillwave.inference.files import FileReport, enhance_file

if TYPE_CHECKING:
    from stillwave.inference.enhancer import Enhancer


@dataclass(frozen=True)
class FileResult:
    """What became of one job: a report, or one sentence of what was wrong."""

    job: FileJob
    report: FileReport | None = None
    error: str = ""


class Watcher:
    """What a batch tells of its progress, from its threads; this one ignores it."""

    def begin(self, job: FileJob) -> None:
        """Called when work on a recording begins."""

    def expect(self, job: FileJob, frames: int) -> None:
        """Called when the length of a recording is known."""

    def advance(self, job: FileJob, frames: int) -> None:
        """Called when so many more frames of its estimate are written."""

    def end(self, outcome: FileResult) -> None:
        """Called when a recording is done or has failed."""


def run(
    enhancer: Enhancer,
    jobs: Sequence[FileJob],
    threads: int = 1,
    watcher: Watcher | None = None,
    **options: Any,
) -> Iterator[FileResult]:
    """Enhance recordings, `threads` at once, and yield what became of them in the order of `jobs`.

    `options` are those of `enhance_file`. Whatever goes wrong with one recording is its own outcome. When the caller
    stops iterating (Ctrl-C), recordings in work end at their next block, without a file. Temporary files that a killed
    process left beside the targets are removed first.
    """
    batch = _Batch(enhancer, watcher or Watcher(), options)
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


class _Batch:
    def __init__(self, enhancer: Enhancer, watcher: Watcher, options: dict[str, Any]) -> None:
        self.enhancer, self.watcher, self.options = enhancer, watcher, options
        self.stop = threading.Event()

    def enhance(self, job: FileJob) -> FileResult:
        self._check()
        self.watcher.begin(job)

        def advance(frames: int) -> None:
            self._check()
            self.watcher.advance(job, frames)

        try:
            report = enhance_file(
                self.enhancer,
                job.source,
                job.target,
                progress=advance,
                expect=lambda frames: self.watcher.expect(job, frames),
                **self.options,
            )
            outcome = FileResult(job, report)
        except StillwaveError as error:
            outcome = FileResult(job, error=fault_text(error))
        except Exception as error:  # one file's fault is that file's, whatever it is; the others go on
            self._check()
            outcome = FileResult(job, error=f"{job.source}: {fault_text(error)}")
        self.watcher.end(outcome)
        return outcome

    def _check(self) -> None:
        if self.stop.is_set():
            raise CancelledError
