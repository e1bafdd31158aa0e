"""`stillwave evaluate`: score checkpoints, or anybody's files."""

from __future__ import annotations

import json
import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from stillwave.console import err, library_noise_hidden
from stillwave.errors import StillwaveError
from stillwave.files import printable

if TYPE_CHECKING:
    from stillwave.evaluation import Item, Summary
    from stillwave.evaluation.transcripts import AsrConfig


def evaluate(
    models: Annotated[
        list[str] | None,
        typer.Argument(
            help="Models that ship, .onnx files, checkpoints or run folders, as MODEL or NAME=MODEL; without one the "
            "noisy recordings alone are scored."
        ),
    ] = None,
    on: Annotated[
        Path | None,
        typer.Option(
            help="Folder of test mixtures (noisy/, clean/ and, if there is one, mixtures.csv) to "
            "enhance and score."
        ),
    ] = None,
    clean: Annotated[
        Path | None, typer.Option(help="Folder of clean references, named as the estimates.")
    ] = None,
    enhanced: Annotated[
        list[str] | None, typer.Option(help="Folder of estimates, as DIR or NAME=DIR. Repeat it for several.")
    ] = None,
    noisy: Annotated[
        Path | None, typer.Option(help="Folder of the noisy recordings, which are scored too.")
    ] = None,
    out: Annotated[
        Path | None, typer.Option("--out", "-o", help="Folder to write every score and the tables into.")
    ] = None,
    metrics: Annotated[
        str | None,
        typer.Option(help="Metrics to score with, separated by commas; default: all but DNSMOS and SNR."),
    ] = None,
    recogniser: Annotated[
        str | None,
        typer.Option(
            help="Speech recogniser to compute word error rate and T1 with: pocketsphinx, "
            "wav2vec2:FOLDER, whisper:PATH or 'cmd: PROGRAM {wav}'; default: none."
        ),
    ] = None,
    references: Annotated[
        str,
        typer.Option(
            help="What recognised words are compared with: 'clean', the recogniser's output for "
            "the clean reference, or 'texts', the text that was spoken."
        ),
    ] = "clean",
    baseline: Annotated[
        str | None, typer.Option(help="System that the others are compared with; default: noisy.")
    ] = None,
    jobs: Annotated[
        int | None,
        typer.Option(min=1, help="Files that are processed at the same time; default: one per core."),
    ] = None,
    seed: Annotated[
        int, typer.Option(min=0, help="Random seed of the bootstrap that confidence intervals come from.")
    ] = 0,
    device: Annotated[
        str, typer.Option(help="Device that checkpoints run on: auto, cpu, cuda, cuda:1 and so on.")
    ] = "auto",
    as_json: Annotated[
        bool, typer.Option("--json", help="Print JSON to stdout, and nothing else there.")
    ] = False,
) -> None:
    """Score estimates against clean references: PESQ, STOI, SI-SDR and more.

    Means come with bootstrap 95 % intervals; differences are paired by
    recording. Files are paired by name. A recording without a score is listed
    with the reason, counted, and never averaged in.

    Example:
        stillwave evaluate runs/student runs/teacher --on test/ --out scores/
        stillwave evaluate bsrnn-s bsrnn-s-int8 --on test/
        stillwave evaluate --clean clean/ --enhanced mine=out/ --noisy noisy/
        stillwave evaluate --on test/ --metrics pesq_wb,stoi --json
        stillwave evaluate runs/student --on test/ --recogniser pocketsphinx

    """
    from stillwave.cores import cores
    from stillwave.evaluation import DEFAULT, score_pairs, summarise, write_report
    from stillwave.evaluation.metrics import WORDS, choose
    from stillwave.evaluation.tables import markdown, plain, warnings

    listening = _listening(recogniser, references)
    asked = [key.strip() for key in metrics.split(",") if key.strip()] if metrics else None
    keys = choose(asked or (*DEFAULT, *(WORDS if listening else ())), listening is not None)
    if out is not None:
        out.mkdir(parents=True, exist_ok=True)  # a folder that cannot be written is found before the work
    with tempfile.TemporaryDirectory() as scratch, library_noise_hidden():
        work = (out or Path(scratch)) / "audio"
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
        scores = score_pairs(items, keys, jobs, listening=listening)
    summary = summarise(scores, baseline, seed)
    if out is not None:
        write_report(scores, summary, out)
        err.print(f"scores of every file and the tables are in {out}", highlight=False)
    if as_json or not sys.stdout.isatty():  # on a terminal they are below the table
        for line in warnings(summary):
            err.print(f"warning: {line}", highlight=False, markup=False)
    if as_json:
        typer.echo(printable(json.dumps(plain(summary), indent=2, ensure_ascii=False, allow_nan=False)))
    elif sys.stdout.isatty():
        _show(summary)
    else:
        typer.echo(printable(markdown(summary)), nl=False)
    if not any(cell.interval for cells in summary.means.values() for cell in cells.values()):
        raise StillwaveError("nothing could be scored; the reasons are above")


def _listening(recogniser: str | None, references: str) -> AsrConfig | None:
    from stillwave.evaluation.recognisers import load
    from stillwave.evaluation.transcripts import AsrConfig, check_references

    known = check_references(references)
    if recogniser is None:
        if known != "clean":
            raise StillwaveError(f"--references {references}: goes with --recogniser")
        return None
    load(recogniser)  # said before checkpoints enhance for an hour, not after
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
    from stillwave.evaluation.inputs import from_checkpoints, from_folders, named
    from stillwave.evaluation.statistics import check_baseline

    if on is not None and (clean or enhanced or noisy):
        raise StillwaveError(
            "--on goes with checkpoints, --clean with --enhanced and --noisy: give one or the other"
        )
    systems = named(models if on is not None else enhanced)
    if baseline is not None:  # said before hours of scoring, not after
        check_baseline(baseline, [*([NOISY] if on or noisy else []), *systems])
    if on is not None:
        return from_checkpoints(on, systems, work, device, texts=texts, jobs=jobs)
    if models:
        raise StillwaveError("checkpoints need --on FOLDER with the mixtures to enhance")
    if clean is None or not (enhanced or noisy):
        raise StillwaveError("give --on FOLDER with checkpoints, or --clean DIR with --enhanced DIR")
    return from_folders(clean, systems, noisy, texts)


def _show(summary: Summary) -> None:
    """For a terminal: a row a metric, a column a system, and below it what was not scored."""
    from rich.console import Console
    from rich.markup import escape
    from rich.table import Table

    from stillwave.evaluation.tables import heading, notes, with_interval

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
