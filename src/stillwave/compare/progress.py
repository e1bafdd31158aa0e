"""Progress of a grid: the training steps of all cells, read from their logs."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

from stillwave.compare.executors import JobResult
from stillwave.compare.work import Job
from stillwave.console import progress_bar

_POLL_SECONDS = 1.0
_TAIL = 65536


def watched(
    outcomes: Iterable[JobResult], work: Sequence[Job], todo: Sequence[Job], *, quiet: bool
) -> Iterator[JobResult]:
    """Yield results, with a progress bar of training steps and cells."""
    if quiet:
        yield from outcomes
        return
    steps = {job.folder: steps_of(job) for job in todo if job.recipe}
    ended: dict[str, str] = {}
    over = threading.Event()
    with progress_bar() as bar:
        task = bar.add_task("steps", total=sum(steps.values()) or None, note="")

        def show() -> None:
            done = sum(n if f in ended else min(n, last_step(Path(f))) for f, n in steps.items())
            cells = len(work) - len(todo) + len(ended)
            failed = sum(status == "failed" for status in ended.values())
            note = f"{cells} of {len(work)} cells" + (f", {failed} failed" if failed else "")
            bar.update(task, completed=done, note=note)

        def poll() -> None:
            while not over.wait(_POLL_SECONDS):
                show()

        watcher = threading.Thread(target=poll, daemon=True)
        show()
        watcher.start()
        try:
            for outcome in outcomes:
                ended[outcome.folder] = outcome.status
                show()
                yield outcome
        finally:
            over.set()
            watcher.join()


def steps_of(job: Job) -> int:
    """Return the number of training steps of a job."""
    from stillwave import recipe as recipes

    return recipes.loads(job.recipe).train.steps


def last_step(run: Path) -> int:
    """Return the step of the last complete line of a run's log; 0 if there is none yet."""
    try:
        with (run / "log.jsonl").open("rb") as handle:
            handle.seek(0, 2)
            handle.seek(max(0, handle.tell() - _TAIL))
            lines = handle.read().split(b"\n")[:-1]
    except OSError:
        return 0
    for line in reversed(lines):
        try:
            return int(json.loads(line)["step"])
        except (ValueError, KeyError, TypeError):
            continue
    return 0
