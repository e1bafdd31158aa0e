"""From a grid to its report: what is not done is run, what failed is told, the report is always written."""

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
    """What came of the cells that were asked for."""

    folder: Path
    done: int
    failed: dict[str, str] = field(default_factory=dict)
    """Cell → the sentence that says why."""
    stopped: int = 0
    """Cells not finished, because the grid was asked to stop."""


def compare(
    grid: Grid,
    cells: Sequence[Cell],
    *,
    jobs: int = 1,
    threads: int = 1,
    executor: str | Executor = "joblib",
    quiet: bool = False,
) -> GridResult:
    """Run and score the cells that are not done yet, `jobs` at once, and noisy input and teacher.

    A cell that fails stops no other. Raises StillwaveError where nothing can be run at all.
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
    with locked(grid.folder, busy), Interrupts() as asked:
        if todo:
            _prepare(grid, todo)
            outcomes = run(todo, jobs, lambda: bool(asked.received))
            for outcome in watched(outcomes, work, todo, quiet=quiet):
                mark = marks[outcome.folder]
                if outcome.status == "failed":
                    failed[named[outcome.folder]] = outcome.sentence
                    with contextlib.suppress(OSError):  # a full disk, most likely: it is told in any case
                        write_json(mark, {"sentence": outcome.sentence})
                elif outcome.status == "done":
                    mark.unlink(missing_ok=True)
                else:
                    stopped += 1
    return GridResult(grid.folder, len(work) - len(failed) - stopped, failed, stopped)


def reference_jobs(grid: Grid, threads: int = 1) -> Iterator[Job]:
    """The noisy input and the teacher, which are scored once."""
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
    """A cell as a job. Cells side by side mix in their own process: more processes would only be in the way."""
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
    """Open the recordings once, before many processes do: faults are found, and all is decoded."""
    from stillwave.data.sources import build_mixer

    if any(job.recipe for job in todo):
        build_mixer(grid.recipe.data, prepare=True)


def write_report(grid: Grid) -> Results:
    """Compute and write everything that can be said of the cells that are done. Raises StillwaveError if none is."""
    from stillwave.compare.report import write
    from stillwave.compare.results import collect

    results = collect(grid)
    if not any(row.is_method or row.seeds for rows in results.sections.values() for row in rows):
        raise StillwaveError(f"{grid.folder}: no cell is done, so there is nothing to report")
    write(results)
    return results
