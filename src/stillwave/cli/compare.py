"""`stillwave compare`: methods × seeds × students, one table."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from stillwave.cli.recipes import AsJson, Sets
from stillwave.cli.train import Quiet
from stillwave.console import err
from stillwave.errors import RecipeError, StillwaveError

if TYPE_CHECKING:
    from stillwave.compare import Cell, Grid, GridResult
    from stillwave.compare.results import Results


def compare(
    output: Annotated[
        Path,
        typer.Option(
            "--output", "-o", metavar="GRID", help="Folder of the grid; the same command resumes it."
        ),
    ],
    recipe: Annotated[
        str | None,
        typer.Argument(
            metavar="RECIPE", help="A recipe file with a 'distill' section, or a shipped recipe's name."
        ),
    ] = None,
    teacher: Annotated[
        str | None,
        typer.Option(
            metavar="CKPT",
            help="Checkpoint or run folder of the teacher; default: the recipe's distill.teacher.",
        ),
    ] = None,
    on: Annotated[
        Path | None,
        typer.Option(
            metavar="TEST",
            help="Folder of test mixtures (noisy/ and clean/) that every student is scored on.",
        ),
    ] = None,
    methods: Annotated[
        str,
        typer.Option(
            help="Methods of distillation to compare, separated by commas; 'all' takes every "
            "method, 'ablations' the variants of i2srf_tfckd."
        ),
    ] = "output,at,i2srf_tfckd",
    seeds: Annotated[
        str, typer.Option(help="Random seeds to train each method with, as a list (0,1,2) or a range (0-4).")
    ] = "0,1,2",
    students: Annotated[
        str | None,
        typer.Option(
            help="Student networks, separated by commas, as CHANNELSxBLOCKS (8x1) or presets "
            "(bsrnn-xs); default: the recipe's model."
        ),
    ] = None,
    variants: Annotated[
        list[str] | None,
        typer.Option(
            "--variant",
            help="Add a method with options of its own, as LABEL={name: METHOD, option: value}; "
            "keys of 'distill' such as weight, rho and warmup may be among them. Repeat it "
            "for several.",
        ),
    ] = None,
    metrics: Annotated[
        str | None,
        typer.Option(help="Metrics to score with, separated by commas; default: all but DNSMOS and SNR."),
    ] = None,
    overrides: Sets = None,
    jobs: Annotated[
        int | None,
        typer.Option(
            min=1,
            help="Trainings that run at the same time; default: the number of cores divided by "
            "--threads-per-job.",
        ),
    ] = None,
    threads: Annotated[int, typer.Option("--threads-per-job", min=1, help="Threads of each training.")] = 1,
    executor: Annotated[
        str, typer.Option(help="Where trainings run: joblib on this machine, ray on a Ray cluster.")
    ] = "joblib",
    report_only: Annotated[
        bool, typer.Option("--report-only", help="Write the report of what is finished, without training.")
    ] = False,
    as_json: AsJson = False,
    quiet: Quiet = False,
) -> None:
    """Which method of distillation helps a student, by how much, and is it real?

    Every cell (method × seed × student) is a run folder with the same data,
    budget and teacher; a seed has the same mixtures and first weights for all
    methods. The student alone is always among them. What is finished is kept:
    the same command continues, and more methods or seeds may be added.

    Example:
        stillwave compare small-student --teacher runs/teacher --on test/ -o grid
        stillwave compare small-student --on test/ -o grid --methods all --seeds 0-4
        stillwave compare -o grid --report-only --json

    """
    from stillwave.compare import compare as run
    from stillwave.compare import write_report
    from stillwave.compare.executors import EXECUTORS
    from stillwave.cores import cores
    from stillwave.errors import nearest

    if executor not in EXECUTORS:
        raise StillwaveError(f"--executor {executor}: {nearest(executor, EXECUTORS)}")
    if report_only:
        _show(write_report(_existing(output)), as_json)
        return
    grid, cells = _grid(recipe, teacher, on, output, methods, seeds, students, variants, metrics, overrides)
    at_once = jobs or (len(cells) + 2 if executor == "ray" else max(1, cores() // threads))
    result = run(grid, cells, jobs=at_once, threads=threads, executor=executor, quiet=quiet)
    _tell(result)
    try:
        _show(write_report(grid), as_json)
    except StillwaveError as error:
        if not (result.failed or result.stopped):
            raise
        err.print(str(error), highlight=False, markup=False)
    if result.stopped or result.failed:
        raise typer.Exit(130 if result.stopped else 1)


def _existing(folder: Path) -> Grid:
    from stillwave.compare.grid import FILE, read

    grid = read(folder)
    if grid is None:
        raise StillwaveError(f"{folder}: holds no grid ({FILE})")
    return grid


def _show(results: Results, as_json: bool) -> None:
    """JSON, a table for a terminal, or Markdown for a pipe; and where the rest is."""
    from stillwave.compare import tables

    if as_json:
        from stillwave.compare.report import plain

        typer.echo(json.dumps(plain(results), indent=2, ensure_ascii=False, allow_nan=False))
    elif sys.stdout.isatty():
        from stillwave.compare.tables import terminal

        terminal(results)
    else:
        typer.echo(tables.markdown(results), nl=False)
    err.print(f"tables, pictures and all scores are in {results.grid.folder / 'report'}", highlight=False)


def _grid(
    recipe: str | None,
    teacher: str | None,
    on: Path | None,
    output: Path,
    methods: str,
    seeds: str,
    students: str | None,
    variants: list[str] | None,
    metrics: str | None,
    overrides: list[str] | None,
) -> tuple[Grid, list[Cell]]:
    """The grid of the folder, with what is asked for, and the cells of the latter."""
    from stillwave import checkpoint
    from stillwave.compare import names, open_grid
    from stillwave.compare.grid import Grid, examine_test
    from stillwave.evaluation import DEFAULT
    from stillwave.evaluation.metrics import choose
    from stillwave.recipe import load

    if recipe is None or on is None:
        raise StillwaveError("give RECIPE and --on TEST, or --report-only for a grid that is there")
    loaded = load(recipe, overrides or (), teacher=teacher)
    if loaded.distill is None:
        raise RecipeError(f"{recipe}: has no 'distill' section, so there is nothing to compare")
    place = checkpoint.resolve(loaded.distill.teacher)
    asked = Grid(
        folder=output,
        recipe=loaded,
        teacher=checkpoint.read_card(place).sha256,
        test=examine_test(on),
        metrics=choose([key.strip() for key in metrics.split(",") if key.strip()] if metrics else DEFAULT),
        methods=names.parse_methods(methods, loaded.distill, variants or ()),
        seeds=names.parse_seeds(seeds),
        students=names.parse_students(students, loaded.model),
    )
    return open_grid(asked, place), list(asked.cells())


def _tell(result: GridResult) -> None:
    """What failed, one line each, and what was stopped."""
    for name, sentence in result.failed.items():
        err.print(f"{name}: {sentence}", highlight=False, markup=False)
    if result.stopped:
        err.print(
            f"{result.folder}: stopped with {result.stopped} cells to go; the same command continues",
            highlight=False,
            markup=False,
        )
