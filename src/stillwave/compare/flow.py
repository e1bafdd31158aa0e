"""Run the unfinished cells of a grid and write its report."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from stillwave import recipe as recipes
from stillwave.compare.executors import EXECUTORS, Executor
from stillwave.compare.grid import REFERENCES, Cell, Grid
from stillwave.compare.progress import watched
from stillwave.compare.work import Job, is_done
from stillwave.errors import StillwaveError
from stillwave.files import locked, write_json

if TYPE_CHECKING:
    from stillwave.compare.results import Results


@dataclass(frozen=True)
class GridResult:
    """The result of running a grid."""

    folder: Path
    done: int
    failed: dict[str, str] = field(default_factory=dict)
    """Cell → the reason of its failure."""
    stopped: int = 0
    """The number of cells that were interrupted."""


def compare(
    grid: Grid,
    cells: Sequence[Cell],
    *,
    jobs: int = 1,
    threads: int = 1,
    executor: str | Executor = "joblib",
    quiet: bool = False,
) -> GridResult:
    """Train and score the unfinished cells, and score the noisy input and the teacher.

    A failed cell does not stop the others.

    `executor`: `joblib` (this machine), `ray` (a cluster), or a function as in `compare.executors`. Raises
    StillwaveError if nothing can be run, e.g. recordings are missing, or another process runs this grid.
    """
    from stillwave.training.interrupts import Interrupts

    run = EXECUTORS[executor] if isinstance(executor, str) else executor
    named = {str(grid.folder / "references" / name): name for name in REFERENCES}
    marks = {folder: grid.folder / "logs" / f"{name}.failed.json" for folder, name in named.items()}
    named |= {str(cell.folder(grid.folder)): str(cell) for cell in cells}
    marks |= {str(cell.folder(grid.folder)): cell.failure(grid.folder) for cell in cells}
    work = [*reference_jobs(grid, threads), *(cell_job(grid, cell, jobs, threads) for cell in cells)]
    todo = [job for job in work if not is_done(job)]
    failed: dict[str, str] = {}
    stopped = 0
    busy = "another `stillwave compare` is running here; wait or give another folder"
    with locked(grid.folder, busy), Interrupts() as interrupts:
        if todo:
            _prepare(grid, todo)
            outcomes = run(todo, jobs, lambda: bool(interrupts.received))
            for outcome in watched(outcomes, work, todo, quiet=quiet):
                mark = marks[outcome.folder]
                if outcome.status == "failed":
                    failed[named[outcome.folder]] = outcome.sentence
                    with contextlib.suppress(OSError):  # e.g. a full disk: the failure is reported anyway
                        write_json(mark, {"sentence": outcome.sentence})
                elif outcome.status == "done":
                    mark.unlink(missing_ok=True)
                else:
                    stopped += 1
    return GridResult(grid.folder, len(work) - len(failed) - stopped, failed, stopped)


def reference_jobs(grid: Grid, threads: int = 1) -> Iterator[Job]:
    """Yield the jobs that score the noisy input and the teacher."""
    for name in REFERENCES:
        yield Job(
            folder=str(grid.folder / "references" / name),
            test=grid.test.folder,
            test_sha256=grid.test.sha256,
            metrics=grid.metrics,
            checkpoint=str(grid.folder.resolve() / "teacher") if name == "teacher" else "",
            device=grid.recipe.train.device,
            threads=threads,
            log=str(grid.folder.resolve() / "logs" / f"{name}.txt"),
            cwd=str(Path.cwd()),
        )


def cell_job(grid: Grid, cell: Cell, jobs: int = 1, threads: int = 1) -> Job:
    """Return the job of a cell. Parallel cells mix in their own process, without data workers."""
    recipe = grid.recipe_of(cell)
    if jobs > 1:
        recipe = recipe.model_copy(update={"data": recipe.data.model_copy(update={"workers": 0})})
    return Job(
        folder=str(cell.folder(grid.folder)),
        test=grid.test.folder,
        test_sha256=grid.test.sha256,
        metrics=grid.metrics,
        recipe=recipes.dump(recipe),
        device=grid.recipe.train.device,
        threads=threads,
        log=str(cell.log(grid.folder.resolve())),
        cwd=str(Path.cwd()),
    )


def _prepare(grid: Grid, todo: Sequence[Job]) -> None:
    """Open and decode the recordings once, before several processes do, so that errors appear early."""
    from stillwave.data.sources import build_mixer

    if any(job.recipe for job in todo):
        build_mixer(grid.recipe.data, prepare=True)


def write_report(grid: Grid) -> Results:
    """Compute the results of the finished cells and write the report.

    Raises StillwaveError if no cell is finished.
    """
    from stillwave.compare.report import write
    from stillwave.compare.results import collect

    results = collect(grid)
    if not any(row.is_method or row.seeds for rows in results.sections.values() for row in rows):
        raise StillwaveError(f"{grid.folder}: no cell is finished, so there is nothing to report")
    write(results)
    return results
