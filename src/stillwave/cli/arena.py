"""`stillwave arena`: score, time and listen to any set of systems."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, get_args

import typer

from stillwave.cli.complete import complete_model
from stillwave.cli.options import (
    OUTPUT,
    RUNNING,
    AsJson,
    Baseline,
    Device,
    Metrics,
    Quiet,
    RecogniserName,
    References,
    jobs_option,
    output_option,
)
from stillwave.cli.pipes import print_json
from stillwave.console import library_noise_hidden, no_display, note
from stillwave.errors import StillwaveError
from stillwave.files import printable

if TYPE_CHECKING:
    from stillwave.arena.flow import ListeningTest

SCORES = "Scores"


def arena(
    systems: Annotated[
        list[str],
        typer.Argument(
            metavar="SYSTEM...",
            autocompletion=complete_model,
            help="Systems as SYSTEM or NAME=SYSTEM: a shipped model, checkpoint or .onnx file; deepfilternet3, rnnoise "
            "or nsnet2; python:MODULE:FUNCTION; 'cmd: TOOL {in} {out}'; or a folder of estimates.",
        ),
    ],
    on: Annotated[
        Path,
        typer.Option(
            metavar="DIR",
            help="Folder of test mixtures (noisy/, clean/ and, optionally, mixtures.csv), or of noisy recordings "
            "alone, which are scored without reference.",
        ),
    ],
    output: Annotated[
        Path | None,
        output_option("DIR", "Folder to write estimates, tables, the page and listening tests into."),
    ] = None,
    listen: Annotated[
        int,
        typer.Option(min=0, metavar="N", rich_help_panel=OUTPUT, help="Number of recordings on the page."),
    ] = 6,
    blind: Annotated[
        int,
        typer.Option(
            "--blind",
            min=0,
            metavar="N",
            rich_help_panel=OUTPUT,
            help="Write a page with N comparisons A/B/X without names, whose answers can be saved; default: none.",
        ),
    ] = 0,
    tests: Annotated[
        str | None,
        typer.Option(
            "--tests",
            metavar="NAMES",
            rich_help_panel=OUTPUT,
            help="Listening tests to write, separated by commas: webmushra (its configuration and stimuli), p835 (a "
            "rating form of ITU-T P.835); default: none.",
        ),
    ] = None,
    metrics: Metrics = None,
    recogniser: RecogniserName = None,
    references: References = "clean",
    baseline: Baseline = None,
    by: Annotated[
        str | None,
        typer.Option(
            metavar="COLUMNS",
            rich_help_panel=SCORES,
            help="Columns of mixtures.csv to group the scores by, separated by commas; default: language, noise_class "
            "and reverberant, where they are known.",
        ),
    ] = None,
    rate: Annotated[
        int,
        typer.Option(
            min=1000,
            metavar="HZ",
            rich_help_panel=RUNNING,
            help="Sampling rate in Hz that programs, functions and graphs of others expect.",
        ),
    ] = 16_000,
    timeout: Annotated[
        float,
        typer.Option(
            min=0.1, rich_help_panel=RUNNING, help="Time limit of a system for one recording, in seconds."
        ),
    ] = 300.0,
    jobs: Annotated[
        int | None,
        jobs_option("Systems that run, and files that are scored, in parallel; default: one per core."),
    ] = None,
    seed: Annotated[
        int,
        typer.Option(
            min=0,
            rich_help_panel=SCORES,
            help="Random seed of the confidence intervals and of listening tests.",
        ),
    ] = 0,
    device: Device = "cpu",
    quiet: Quiet = False,
    as_json: AsJson = False,
) -> None:
    """Compare any denoisers on the same recordings: scores, words, cost, and a page to listen to.

    Each system runs in a process of its own, on one core. A recording on which
    a system fails is listed with the reason; a system that crashes is started
    again. Differences are paired by recording.

    Example:
        stillwave arena bsrnn-m rnnoise deepfilternet3 --on test/ -o arena/
        stillwave arena bsrnn-m mine=out/ 'other=cmd: tool {in} {out}' --on test/
        stillwave arena bsrnn-xs bsrnn-m --on my-recordings/ -o arena/ --blind 12
        stillwave arena bsrnn-m --on test/ -o arena/ --tests webmushra,p835

    """
    from stillwave.arena import ArenaSettings, parse, run
    from stillwave.arena.costs import markdown as cost_table
    from stillwave.arena.processes import ProcessLimits
    from stillwave.cli.evaluate import recognition, show
    from stillwave.reports.markup import json_values
    from stillwave.reports.score_tables import markdown, warnings

    chosen = _tests(tests)
    if output is None and (blind or chosen):
        raise StillwaveError("--blind and --tests: need --output DIR to write into")
    settings = ArenaSettings(
        metrics=_words(metrics),
        asr=recognition(recogniser, references),
        baseline=baseline,
        columns=_words(by),
        limits=ProcessLimits(rate, timeout, device),
        jobs=jobs,
        seed=seed,
        listen=listen,
        trials=blind,
        tests=chosen,
    )
    with library_noise_hidden(), no_display(quiet):
        result = run(parse(systems), on, output, settings)
    if output is not None and not quiet:
        note(f"wrote {output / 'index.html'}")
    if as_json or not sys.stdout.isatty():  # on a terminal, warnings follow the table
        for line in warnings(result.summary):
            note(f"warning: {line}")
    if as_json:
        print_json(json_values({"costs": result.costs, "summary": result.summary}))
    elif sys.stdout.isatty():
        show(result.summary)
    else:
        typer.echo(printable(markdown(result.summary)), nl=False)
    if not as_json:
        typer.echo(printable("".join(f"{line}\n" for line in cost_table(result.costs))), nl=False)
    if not any(cell.interval for cells in result.summary.means.values() for cell in cells.values()):
        raise StillwaveError("no recording could be scored; the reasons are above")
    if result.no_tests:
        raise StillwaveError(result.no_tests)


def _words(text: str | None) -> list[str] | None:
    return [word.strip() for word in text.split(",") if word.strip()] if text is not None else None


def _tests(text: str | None) -> list[ListeningTest]:
    from stillwave.arena.flow import ListeningTest

    found: list[ListeningTest] = []
    for word in _words(text) or []:
        if word not in get_args(ListeningTest):
            raise StillwaveError(f"--tests {word}: expected {' or '.join(get_args(ListeningTest))}")
        found.append(word)  # type: ignore[arg-type]
    return found
