"""Progress, failures and remarks of a batch of `stillwave enhance`."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from dataclasses import asdict
from pathlib import Path
from threading import Lock
from typing import TYPE_CHECKING, Any

from stillwave.console import note, progress_bar
from stillwave.errors import on_terminal
from stillwave.files import printable
from stillwave.inference.parallel import Watcher

if TYPE_CHECKING:
    from rich.progress import Progress, TaskID

    from stillwave.inference import FileBatch, FileJob, FileReport, FileResult


_FEW = 5


class BatchView(Watcher):
    """Shows the progress of a batch and collects a row per file for `--json`; `quiet` shows failures only."""

    def __init__(self, plan: FileBatch, quiet: bool = False, rate_given: bool = False) -> None:
        self.rows: list[dict[str, Any]] = []
        self.failed = 0
        self._plan, self._quiet, self._rate_given = plan, quiet, rate_given
        self._remarks: dict[str, list[str]] = {}
        self._lock = Lock()
        self._progress: Progress | None = None
        self._overall: TaskID
        self._tasks: dict[FileJob, TaskID] = {}
        self._frames: dict[FileJob, int] = {}
        self._ended = self._broken = 0
        for line in skipped_lines(plan):
            self._print(line)
        self.rows += [{"source": str(path), "skipped": reason} for path, reason in plan.skipped]

    @contextmanager
    def shown(self) -> Iterator[None]:
        """Show the progress bar within the context."""
        with nullcontext() if self._quiet else progress_bar() as progress:
            self._progress = progress
            if progress:
                self._overall = progress.add_task("enhancing", total=len(self._plan.jobs), note="")
            yield
        self._progress = None

    def begin(self, job: FileJob) -> None:
        """See `Watcher`."""
        if self._progress:
            with self._lock:
                self._tasks[job] = self._progress.add_task(f"  {_short(job.source)}, %", total=100, note="")

    def expect(self, job: FileJob, frames: int) -> None:
        """See `Watcher`."""
        self._frames[job] = max(1, frames)

    def advance(self, job: FileJob, frames: int) -> None:
        """See `Watcher`."""
        if self._progress:
            self._progress.advance(self._tasks[job], 100 * frames / self._frames[job])

    def end(self, outcome: FileResult) -> None:
        """See `Watcher`; the bar counts enhanced files, its note failures."""
        with self._lock:
            self._ended += 1
            self._broken += bool(outcome.error)
            if self._progress:
                self._progress.remove_task(self._tasks.pop(outcome.job))
                note = f"{self._broken} failed" if self._broken else ""
                self._progress.update(self._overall, completed=self._ended - self._broken, note=note)

    def add(self, outcome: FileResult) -> None:
        """Record the result of the next file, in the order of the batch."""
        report = outcome.report
        if report is None:
            self.failed += 1
            fault = on_terminal(outcome.error)
            note(printable(f"failed: {fault}"), "red")
            self.rows.append({"source": str(outcome.job.source), "error": fault})
            return
        self.rows.append(asdict(report))
        if report.version:
            self._print(f"{report.target}: {report.version}; {report.reason}")
        for line in remarks(report, self._rate_given):
            self._remarks.setdefault(line, []).append(report.target)

    def close(self) -> None:
        """Print remarks, each once, and the counts."""
        for line, targets in self._remarks.items():
            more = f" and {len(targets) - 1} more" if len(targets) > 1 else ""
            self._print(f"{targets[0]}{more}: {line}", "yellow")
        done = len(self._plan.jobs) - self.failed
        self._print(f"{done} enhanced, {self.failed} failed, {len(self._plan.skipped)} skipped")

    def _print(self, line: str, style: str | None = None) -> None:
        if not self._quiet:
            note(printable(line), style)


def skipped_lines(plan: FileBatch) -> Iterator[str]:
    """Yield skipped files with reasons: all if they are few, else the first and the count, by reason."""
    by_reason: dict[str, list[Path]] = {}
    for path, reason in plan.skipped:
        by_reason.setdefault(reason, []).append(path)
    for reason, paths in by_reason.items():
        shown = paths if len(paths) <= _FEW else paths[:1]
        for path in shown:
            more = f" and {len(paths) - 1} more" if len(paths) > _FEW else ""
            yield f"skipped {path}{more}: {reason}"


def remarks(report: FileReport, rate_given: bool) -> Iterator[str]:
    """Yield remarks on an enhanced file, one line each."""
    yield from report.notes
    if report.clipped:
        yield f"{report.clipped} samples were beyond full scale and were clipped; a float wav keeps them"
    if report.lost_tags:
        yield f"its format cannot store {', '.join(report.lost_tags)}"
    if report.sample_rate != report.source_rate and not rate_given:
        yield f"resampled from {report.source_rate} to {report.sample_rate} Hz, the nearest rate of {report.subtype}"


def _short(path: Path) -> str:
    from rich.markup import escape

    name = printable(path.name)
    return escape(name if len(name) <= 40 else name[:39] + "…")
