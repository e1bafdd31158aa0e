"""`stillwave compare`: train and score a grid of methods, seeds and students."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from stillwave.cli.complete import complete_recipe
from stillwave.cli.options import (
    OUTPUT,
    RUNNING,
    AsJson,
    Metrics,
    Overrides,
    Quiet,
    Teacher,
    jobs_option,
    output_option,
)
from stillwave.cli.pipes import print_json
from stillwave.console import note
from stillwave.errors import RecipeError, StillwaveError

if TYPE_CHECKING:
    from stillwave.compare import Cell, Grid, GridResult
    from stillwave.compare.results import Results

GRID = "Grid"


def compare(
    output: Annotated[
        Path,
        output_option("GRID", "Folder of the grid; the same command resumes it."),
    ],
    recipe: Annotated[
        str | None,
        typer.Argument(
            metavar="RECIPE",
            autocompletion=complete_recipe,
            help="A recipe file with a 'distill' section, or the name of a shipped one.",
        ),
    ] = None,
    teacher: Teacher = None,
    on: Annotated[
        Path | None,
        typer.Option(
            metavar="DIR",
            rich_help_panel="Scores",
            help="Folder of test mixtures (noisy/ and clean/) to score every student on.",
        ),
    ] = None,
    methods: Annotated[
        str,
        typer.Option(
            rich_help_panel=GRID,
            help="Distillation methods to compare, separated by commas; 'all' takes every "
            "method, 'ablations' the variants of i2srf_tfckd.",
        ),
    ] = "output,at,i2srf_tfckd",
    seeds: Annotated[
        str,
        typer.Option(
            rich_help_panel=GRID,
            help="Random seeds of the runs of each method, as a list (0,1,2) or a range (0-4).",
        ),
    ] = "0,1,2",
    students: Annotated[
        str | None,
        typer.Option(
            rich_help_panel=GRID,
            help="Student networks, separated by commas, as CHANNELSxBLOCKS (8x1) or presets (bsrnn-xs); "
            "default: the model of the recipe.",
        ),
    ] = None,
    variants: Annotated[
        list[str] | None,
        typer.Option(
            "--variant",
            metavar="LABEL={…}",
            rich_help_panel=GRID,
            help="Add a method with options, as LABEL={name: METHOD, option: value}; keys of 'distill' (weight, rho, "
            "warmup) are allowed too. Repeat it for several.",
        ),
    ] = None,
    metrics: Metrics = None,
    overrides: Overrides = None,
    jobs: Annotated[
        int | None,
        jobs_option("Runs that are trained in parallel; default: cores divided by --threads-per-job."),
    ] = None,
    threads: Annotated[
        int,
        typer.Option(
            "--threads-per-job", min=1, rich_help_panel=RUNNING, help="Number of threads of each run."
        ),
    ] = 1,
    executor: Annotated[
        str,
        typer.Option(
            rich_help_panel=RUNNING,
            help="Where the runs are trained: joblib (this machine) or ray (a Ray cluster).",
        ),
    ] = "joblib",
    report_only: Annotated[
        bool,
        typer.Option(
            "--report-only",
            rich_help_panel=OUTPUT,
            help="Write the report on the finished runs, without training.",
        ),
    ] = False,
    quiet: Quiet = False,
    as_json: AsJson = False,
) -> None:
    """Train a grid of methods, seeds and students, and test the differences for significance.

    Every cell (method × seed × student) is a run folder. All runs use the same
    data, number of steps and teacher; runs of a seed use the same mixtures and
    initial weights. The student without a teacher is always included. The same
    command resumes a grid; methods and seeds can be added to it.

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
    _print_failures(result)
    try:
        _show(write_report(grid), as_json)
    except StillwaveError as error:
        if not (result.failed or result.stopped):
            raise
        note(str(error))
    if result.stopped or result.failed:
        raise typer.Exit(130 if result.stopped else 1)


def _existing(folder: Path) -> Grid:
    from stillwave.compare.grid import FILE, read

    grid = read(folder)
    if grid is None:
        raise StillwaveError(f"{folder}: is not the folder of a grid (no {FILE})")
    return grid


def _show(results: Results, as_json: bool) -> None:
    """Print JSON, a table on a terminal, or Markdown to a pipe."""
    from stillwave.compare import tables

    if as_json:
        from stillwave.compare.report import plain

        print_json(plain(results))
    elif sys.stdout.isatty():
        from stillwave.compare.tables import terminal

        terminal(results)
    else:
        typer.echo(tables.markdown(results), nl=False)
    note(f"wrote tables, figures and scores to {results.grid.folder / 'report'}")


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
    """Return the grid of the folder, extended by the request, and the requested cells."""
    from stillwave import checkpoint
    from stillwave.compare import names, open_grid
    from stillwave.compare.grid import Grid, examine_test
    from stillwave.evaluation import DEFAULT
    from stillwave.evaluation.metrics import choose
    from stillwave.external import is_external
    from stillwave.recipe import load

    if recipe is None or on is None:
        raise StillwaveError("give RECIPE and --on DIR, or --report-only for an existing grid")
    loaded = load(recipe, overrides or (), teacher=teacher)
    if loaded.distill is None:
        raise RecipeError(f"{recipe}: has no 'distill' section, so there are no methods to compare")
    config = loaded.distill
    if config.teachers or config.teacher_command is not None or is_external(config.teacher):
        raise RecipeError(
            f"{recipe}: the teacher is no checkpoint, and a grid compares its layers too; give a checkpoint or a run "
            "folder"
        )
    place = checkpoint.resolve(loaded.distill.teacher)
    requested = Grid(
        folder=output,
        recipe=loaded,
        teacher=checkpoint.read_card(place).sha256,
        test=examine_test(on),
        metrics=choose([key.strip() for key in metrics.split(",") if key.strip()] if metrics else DEFAULT),
        methods=names.parse_methods(methods, loaded.distill, variants or ()),
        seeds=names.parse_seeds(seeds),
        students=names.parse_students(students, loaded.model),
    )
    return open_grid(requested, place), list(requested.cells())


def _print_failures(result: GridResult) -> None:
    """Print failed and remaining cells."""
    for name, sentence in result.failed.items():
        note(f"{name}: {sentence}")
    if result.stopped:
        note(f"{result.folder}: stopped, {result.stopped} cells remain; the same command resumes")
