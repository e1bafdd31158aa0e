"""`stillwave evaluate`: score models or enhanced files."""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from stillwave.cli.complete import complete_model
from stillwave.cli.options import (
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
from stillwave.output_paths import make_folder

if TYPE_CHECKING:
    from stillwave.evaluation import Item, Summary
    from stillwave.evaluation.transcripts import AsrConfig

RECORDINGS, SCORES = "Recordings", "Scores"


def evaluate(
    models: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="MODEL",
            autocompletion=complete_model,
            help="Shipped models, .onnx files, checkpoints or run folders, as MODEL or NAME=MODEL; default: score "
            "only the noisy recordings.",
        ),
    ] = None,
    on: Annotated[
        Path | None,
        typer.Option(
            metavar="DIR",
            rich_help_panel=RECORDINGS,
            help="Folder of test mixtures to enhance and score: noisy/, clean/ and, optionally, mixtures.csv.",
        ),
    ] = None,
    clean: Annotated[
        Path | None,
        typer.Option(
            metavar="DIR",
            rich_help_panel=RECORDINGS,
            help="Folder of clean references, named as the estimates.",
        ),
    ] = None,
    enhanced: Annotated[
        list[str] | None,
        typer.Option(
            metavar="DIR",
            rich_help_panel=RECORDINGS,
            help="Folder of estimates, as DIR or NAME=DIR, to score with --clean, or beside the models with --on. "
            "Repeat it for several.",
        ),
    ] = None,
    noisy: Annotated[
        Path | None,
        typer.Option(
            metavar="DIR",
            rich_help_panel=RECORDINGS,
            help="Folder of the noisy recordings, scored as 'noisy'.",
        ),
    ] = None,
    output: Annotated[
        Path | None,
        output_option("DIR", "Folder to write scores and tables into."),
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
            help="Columns of mixtures.csv to group the scores by, separated by commas, such as language,noise; "
            "'reverberant' groups by whether the column rir names a room.",
        ),
    ] = None,
    jobs: Annotated[
        int | None, jobs_option("Files that are processed in parallel; default: one per core.")
    ] = None,
    seed: Annotated[
        int,
        typer.Option(
            min=0, rich_help_panel=SCORES, help="Random seed of the bootstrap confidence intervals."
        ),
    ] = 0,
    device: Device = "auto",
    quiet: Quiet = False,
    as_json: AsJson = False,
) -> None:
    """Score estimates against clean references: PESQ, STOI, SI-SDR and more.

    Means have bootstrap 95 % confidence intervals; differences are paired by
    recording. Files are paired by name. Recordings without a score are listed
    with the reason and excluded from the mean.

    Example:
        stillwave evaluate runs/student runs/teacher --on test/ -o scores/
        stillwave evaluate bsrnn-s bsrnn-s-int8 --on test/
        stillwave evaluate --clean clean/ --enhanced mine=out/ --noisy noisy/
        stillwave evaluate bsrnn-m --on test/ --enhanced other=out/ --by noise
        stillwave evaluate --on test/ --metrics pesq_wb,stoi --json
        stillwave evaluate runs/student --on test/ --recogniser pocketsphinx

    """
    from stillwave.cores import cores
    from stillwave.evaluation import DEFAULT, score_pairs, summarise
    from stillwave.evaluation.inputs import labels_of
    from stillwave.evaluation.metrics import WORDS, choose
    from stillwave.reports.markup import json_values
    from stillwave.reports.score_report import write_report
    from stillwave.reports.score_tables import markdown, warnings

    asr = recognition(recogniser, references)
    requested = [key.strip() for key in metrics.split(",") if key.strip()] if metrics else None
    keys = choose(requested or (*DEFAULT, *(WORDS if asr else ())), asr is not None)
    if output is not None:
        make_folder(output)  # fail before the work
    columns = [column.strip() for column in by.split(",") if column.strip()] if by else []
    if columns and on is None:
        raise StillwaveError("--by: needs --on DIR with a mixtures.csv")
    labels = labels_of(on, columns) if on else {}
    with tempfile.TemporaryDirectory() as scratch, library_noise_hidden(), no_display(quiet):
        work = (output or Path(scratch)) / "audio"
        items = _items(
            models or [],
            on,
            clean,
            enhanced or [],
            noisy,
            baseline,
            work,
            device,
            references == "texts",
            jobs or cores(),
        )
        scores = score_pairs(items, keys, jobs, asr=asr)
    summary = summarise(scores, baseline, seed, labels)
    if output is not None:
        write_report(scores, summary, output)
        if not quiet:
            note(f"wrote scores and tables to {output}")
    if as_json or not sys.stdout.isatty():  # on a terminal, warnings follow the table
        for line in warnings(summary):
            note(f"warning: {line}")
    if as_json:
        print_json(json_values(summary))
    elif sys.stdout.isatty():
        show(summary)
    else:
        typer.echo(printable(markdown(summary)), nl=False)
    if not any(cell.interval for cells in summary.means.values() for cell in cells.values()):
        raise StillwaveError("no recording could be scored; the reasons are above")


def recognition(recogniser: str | None, references: str) -> AsrConfig | None:
    """Return the recogniser of the options, or None. Raises StillwaveError if it cannot be used."""
    from stillwave.evaluation.recognisers import load
    from stillwave.evaluation.transcripts import AsrConfig, check_references

    known = check_references(references)
    if recogniser in (None, "none"):
        if known != "clean":
            raise StillwaveError(f"--references {references}: needs --recogniser")
        return None
    load(recogniser)  # fail before the recordings are enhanced
    return AsrConfig(recogniser, known)


def _items(
    models: list[str],
    on: Path | None,
    clean: Path | None,
    enhanced: list[str],
    noisy: Path | None,
    baseline: str | None,
    work: Path,
    device: str,
    texts: bool,
    jobs: int,
) -> list[Item]:
    from stillwave.evaluation import NOISY
    from stillwave.evaluation.inputs import from_checkpoints, from_folders, named, with_estimates
    from stillwave.evaluation.summary import check_baseline

    if on is not None and (clean or noisy):
        raise StillwaveError("--on: has the clean and noisy recordings; leave out --clean and --noisy")
    checkpoints, folders = named(models), named(enhanced)
    if baseline is not None:  # fail before scoring
        check_baseline(baseline, [*([NOISY] if on or noisy else []), *checkpoints, *folders])
    if on is not None:
        items = from_checkpoints(on, checkpoints, work, device, texts=texts, jobs=jobs)
        return with_estimates(items, folders)
    if models:
        raise StillwaveError("models need --on DIR with the mixtures to enhance")
    if clean is None or not (enhanced or noisy):
        raise StillwaveError("give models with --on DIR, or --clean DIR with --enhanced DIR")
    return from_folders(clean, folders, noisy, texts)


def show(summary: Summary) -> None:
    """Print a table of metrics by system, followed by notes."""
    from rich.console import Console
    from rich.markup import escape
    from rich.table import Table

    from stillwave.reports.formatting import heading, with_interval
    from stillwave.reports.score_tables import notes

    table = Table("", *map(escape, summary.systems), title=f"{summary.recordings} recordings, 95 % intervals")
    for column in table.columns[1:]:
        column.justify = "right"
    for metric in summary.metrics:
        cells = [summary.means[system][metric].interval for system in summary.systems]
        table.add_row(heading(metric), *(escape(with_interval(cell, metric)) for cell in cells))
    if summary.words:
        rates = [summary.words.corpus[system].rate for system in summary.systems]
        table.add_row("corpus WER %", *(escape(with_interval(rate, "wer")) for rate in rates))
    console = Console(highlight=False)
    console.print(table)
    for line in notes(summary):
        console.print(f"• {escape(line)}")
