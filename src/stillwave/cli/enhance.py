"""`stillwave enhance`: denoise files, folders and pipes."""

from __future__ import annotations

import json
import sys
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from stillwave.console import err, progress_bar
from stillwave.errors import StillwaveError

if TYPE_CHECKING:
    from stillwave.enhance import Enhancer, Plan

PIPE = Path("-")


def enhance(
    inputs: Annotated[list[Path], typer.Argument(help="Recordings or folders of them; - for stdin.")],
    output: Annotated[
        Path | None,
        typer.Option(
            "--output",
            "-o",
            help="A file (its suffix gives the format), a folder, or - for stdout; by default "
            "NAME-enhanced beside each input.",
        ),
    ] = None,
    model: Annotated[
        str | None,
        typer.Option(
            "--model",
            "-m",
            help="A model that ships (`stillwave models`), an exported .onnx file, a checkpoint or run folder; "
            "by default the default model.",
        ),
    ] = None,
    limit_db: Annotated[
        float | None, typer.Option("--limit-db", help="Lower noise by at most this many dB.", min=0)
    ] = None,
    rate: Annotated[
        int | None, typer.Option("--rate", help="Sampling rate of the output in Hz; by default the input's.")
    ] = None,
    device: Annotated[str, typer.Option(help="For checkpoints: auto, cpu, cuda, cuda:1, …")] = "auto",
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace files that exist.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="One JSON object a file, as a list.")] = False,
) -> None:
    """Denoise recordings: same length, alignment, level, rate and channels.

    Reads and writes wav, flac, ogg, opus, mp3, aiff and caf of any rate and
    number of channels, however long. The network works at 16 kHz, so nothing
    is left above 8 kHz unless --limit-db leaves it there. Values beyond full
    scale are kept in floating-point and lossy files; integer files cannot hold
    them: there they are clipped, and counted. A pipe gets WAV.

    Example:
        stillwave enhance noisy.wav
        stillwave enhance talk.mp3 -o talk.flac --limit-db 12
        stillwave enhance recordings/ -o enhanced/ -m runs/distilled
        stillwave enhance - < talk.wav > clean.wav

    """
    from stillwave.enhance import load, plan

    if output is None and inputs == [PIPE]:
        output = PIPE
    piped = PIPE in inputs or output == PIPE
    if piped:
        _check_pipe(inputs, output, as_json)
    work = None if piped else plan(inputs, output)
    enhancer = load(model, device)
    options: dict[str, Any] = {"limit_db": limit_db, "rate_out": rate}
    if work is None:
        _pipe(enhancer, options)
        return
    rows, failed = _run(enhancer, work, {**options, "overwrite": overwrite})
    if output is None and not failed:
        for job in work.jobs:
            err.print(f"{job.source} → {job.target}", markup=False, highlight=False)
    if as_json:
        typer.echo(json.dumps(rows, indent=2, ensure_ascii=False, allow_nan=False))
    if failed:
        raise typer.Exit(1)


def _check_pipe(inputs: list[Path], output: Path | None, as_json: bool) -> None:
    if inputs != [PIPE] or output != PIPE:
        raise StillwaveError("- goes with itself alone: stillwave enhance - -o -")
    if as_json:
        raise StillwaveError("--json and -o - would both write to stdout; choose one")
    if sys.stdin.isatty():
        raise StillwaveError("stdin is a terminal; pipe a recording into it")
    if sys.stdout.isatty():
        raise StillwaveError("stdout is a terminal; send it to a file or another program")


def _pipe(enhancer: Enhancer, options: dict[str, Any]) -> None:
    from stillwave.enhance import enhance_pipe

    report = enhance_pipe(enhancer, sys.stdin.buffer, sys.stdout.buffer, **options)
    _warn("stdout", report.clipped, report.lost_tags)


def _run(enhancer: Enhancer, work: Plan, options: dict[str, Any]) -> tuple[list[dict[str, Any]], int]:
    """Do every job, whatever becomes of the others. One row a file, and how many failed."""
    rows: list[dict[str, Any]] = []
    for path, reason in work.skipped:
        err.print(f"skipped {path}: {reason}", markup=False, highlight=False)
        rows.append({"source": str(path), "skipped": reason})
    if not work.jobs:
        raise StillwaveError("there is no recording among the inputs")
    failed = 0
    with progress_bar() as progress:
        overall = progress.add_task("enhancing", total=len(work.jobs), note="")
        for job in work.jobs:
            progress.update(overall, note=job.source.name)
            try:
                rows.append(_one(enhancer, job.source, job.target, progress, options))
            except StillwaveError as error:
                failed += 1
                message = str(error)
                err.print(f"failed: {message}", style="red", markup=False, highlight=False)
                rows.append({"source": str(job.source), "error": message})
            progress.advance(overall)
    done = len(work.jobs) - failed
    err.print(f"{done} enhanced, {failed} failed, {len(work.skipped)} skipped", highlight=False)
    return rows, failed


def _one(
    enhancer: Enhancer, source: Path, target: Path, progress: Any, options: dict[str, Any]
) -> dict[str, Any]:
    from stillwave.audio import probe

    info = probe(source)
    rate = options["rate_out"] or info.sample_rate
    task = progress.add_task("  seconds", total=round(info.seconds), note="")

    def advance(frames: int) -> None:
        progress.advance(task, frames / rate)

    try:
        report = enhancer.enhance_file(source, target, progress=advance, **options)
    finally:
        progress.remove_task(task)
    _warn(str(target), report.clipped, report.lost_tags)
    return asdict(report)


def _warn(name: str, clipped: int, lost_tags: tuple[str, ...]) -> None:
    if clipped:
        err.print(
            f"{name}: {clipped} samples were beyond full scale and are clipped; a float wav would keep them",
            style="yellow",
            markup=False,
            highlight=False,
        )
    if lost_tags:
        names = ", ".join(lost_tags)
        err.print(f"{name}: its format has no place for {names}", markup=False, highlight=False)
