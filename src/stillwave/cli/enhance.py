"""`stillwave enhance`: remove noise from files, folders and pipes."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from stillwave.cli.options import (
    OUTPUT,
    RUNNING,
    AsJson,
    Bandwidth,
    BandwidthOption,
    Device,
    Executor,
    ExecutorOption,
    GuardOption,
    KeepCleanOption,
    LimitDb,
    Overwrite,
    Purpose,
    PurposeOption,
    Quiet,
    Strength,
    jobs_option,
    limit_of,
    model_option,
    output_option,
)
from stillwave.cli.pipes import check_pipes, naming_stdout, print_json
from stillwave.cli.signals import stopped_once
from stillwave.console import library_noise_hidden, note
from stillwave.errors import StillwaveError
from stillwave.files import printable

if TYPE_CHECKING:
    from stillwave.cli.batch_view import BatchView
    from stillwave.inference import Enhancer, FileBatch
    from stillwave.inference.parallel import Decision

PIPE = Path("-")


def enhance(
    inputs: Annotated[
        list[Path],
        typer.Argument(metavar="INPUT", help="Recordings or folders of recordings; - reads from stdin."),
    ],
    output: Annotated[
        Path | None,
        output_option(
            "PATH",
            "File (its suffix gives the format), folder, or - for stdout; default: NAME-enhanced next to "
            "each input.",
        ),
    ] = None,
    model: Annotated[
        str | None,
        model_option(
            "Name of a shipped model (`stillwave models`), an .onnx file, a checkpoint or a run folder; "
            "default: the default model."
        ),
    ] = None,
    limit_db: LimitDb = None,
    strength: Strength = None,
    purpose: PurposeOption = Purpose.listening,
    guard: GuardOption = None,
    bandwidth: BandwidthOption = Bandwidth.full,
    keep_clean: KeepCleanOption = False,
    rate: Annotated[
        int | None,
        typer.Option(
            "--rate",
            rich_help_panel=OUTPUT,
            help="Sampling rate of the output in Hz; default: that of the input.",
        ),
    ] = None,
    overwrite: Overwrite = False,
    skip_existing: Annotated[
        bool,
        typer.Option(
            "--skip-existing",
            rich_help_panel=OUTPUT,
            help="Skip recordings whose output exists, to resume a batch.",
        ),
    ] = False,
    dry_run: Annotated[
        bool,
        typer.Option(
            "--dry-run", "-n", rich_help_panel=RUNNING, help="Print the input and output files, and exit."
        ),
    ] = False,
    device: Device = "auto",
    jobs: Annotated[
        int | None,
        jobs_option(
            "Files enhanced in parallel; default: one per core (1 for a checkpoint, which uses all cores)."
        ),
    ] = None,
    executor: ExecutorOption = Executor.local,
    quiet: Quiet = False,
    as_json: AsJson = False,
) -> None:
    """Remove noise from recordings; length, alignment, level, rate and channels are kept.

    Reads and writes wav, flac, ogg, opus, mp3, aiff and caf of any rate, length
    and number of channels; with ffmpeg on the PATH also m4a, mp4, mkv, mov,
    webm, wma, aac and others. In a video, the first audio track is enhanced;
    pictures, other tracks, subtitles and chapters are kept. The network runs at
    16 kHz; above 8 kHz, noise is attenuated as between 5 and 7.5 kHz
    (--bandwidth). Samples beyond full scale are kept in floating-point and lossy
    files, and clipped and counted in integer files. Output to a pipe is WAV.

    Folders are searched recursively; files named NAME-enhanced are skipped. A
    file that fails is reported, and the others are enhanced.

    Example:
        stillwave enhance noisy.wav
        stillwave enhance talk.mp3 -o talk.flac --limit-db 12
        stillwave enhance talk.mp4 -o clean.mp4
        stillwave enhance recordings/ -o enhanced/ -m runs/distilled
        stillwave enhance recordings/ -o enhanced/ --skip-existing
        stillwave enhance calls/ -o for-asr/ --for asr --guard faster-whisper:models/tiny.en
        stillwave enhance - < talk.wav > clean.wav

    """
    from stillwave.inference import load, plan

    if output is None and inputs == [PIPE]:
        output = PIPE
    given = limit_db is not None or strength is not None
    limit_db = limit_of(limit_db, strength)
    if purpose is Purpose.asr:
        limit_db = _limit_for_asr(given, guard, PIPE in inputs, quiet)
    elif guard:
        raise StillwaveError("--guard chooses for speech recognition; add --for asr")
    if executor is Executor.ray and (guard or PIPE in inputs or output == PIPE):
        what = "--guard" if guard else "a pipe"
        raise StillwaveError(f"--executor ray distributes files; leave it out with {what}")
    options: dict[str, Any] = {"limit_db": limit_db, "rate_out": rate}
    if PIPE in inputs or output == PIPE:
        _check_pipe(inputs, output, as_json or dry_run)
        _pipe(load(model, device, bandwidth=bandwidth.value, keep_clean=keep_clean), options, quiet)
        return
    if overwrite and skip_existing:
        raise StillwaveError("--overwrite and --skip-existing exclude each other; choose one")
    work = plan(inputs, output, skip_existing=skip_existing)
    if not work.jobs and not (skip_existing and work.skipped):
        reasons = "".join(f"; {path}: {reason}" for path, reason in work.skipped[:3])
        raise StillwaveError(f"the inputs contain no recordings{reasons}")
    if dry_run:
        _show_plan(work, overwrite, as_json)
        return
    enhancer = load(model, device, bandwidth=bandwidth.value, keep_clean=keep_clean)
    decide = _guarded(enhancer, guard) if guard else None
    if executor is Executor.ray:
        view = _run_on_ray(enhancer, work, quiet, overwrite=overwrite, **options)
    else:
        view = _run(enhancer, work, jobs, quiet, decide=decide, overwrite=overwrite, **options)
    if output is None and not quiet and not view.failed:
        for job in work.jobs:
            note(printable(f"{job.source} → {job.target}"))
    if as_json:
        _print_json(view.rows)
    if view.failed:
        raise typer.Exit(1)


def _limit_for_asr(given: bool, guard: str | None, pipe: bool, quiet: bool) -> float:
    """Return the limit of `--for asr`: none of the mixes that were measured lowers the word error rate."""
    if given:
        raise StillwaveError("--for asr sets the limit; leave out --limit-db and --strength")
    if guard and pipe:
        raise StillwaveError("--guard reads a recording twice; give files, not a pipe")
    if not guard and not quiet:
        note(
            "for speech recognition a recording is best left as it is, so its noise is not reduced; --guard compares"
        )
    return 0.0


def _guarded(enhancer: Enhancer, recogniser: str) -> Callable[[Path], Decision]:
    """Return a function that asks the guard how to enhance a recording."""
    from stillwave.evaluation.guard import Guard
    from stillwave.inference.parallel import Decision

    guard = Guard(enhancer, recogniser)

    def decide(source: Path) -> Decision:
        choice = guard.choose(source)
        if choice.enhanced:
            return Decision(guard.limit_db, "enhanced", choice.reason)
        return Decision(0.0, "original", choice.reason)

    return decide


def _check_pipe(inputs: list[Path], output: Path | None, as_json: bool) -> None:
    if inputs != [PIPE] or output != PIPE:
        raise StillwaveError("- must be the only input and the output: stillwave enhance - -o -")
    if as_json:
        raise StillwaveError("--json or --dry-run and -o - would both write to stdout; choose one")
    check_pipes("pipe a recording into it")


def _pipe(enhancer: Enhancer, options: dict[str, Any], quiet: bool) -> None:
    from stillwave.cli.batch_view import remarks
    from stillwave.inference import enhance_pipe

    with library_noise_hidden(), naming_stdout():
        report = enhance_pipe(enhancer, sys.stdin.buffer, sys.stdout.buffer, **options)
    for line in () if quiet else remarks(report, options["rate_out"] is not None):
        note(f"stdout: {line}", "yellow")


def _run(enhancer: Enhancer, work: FileBatch, jobs: int | None, quiet: bool, **options: Any) -> BatchView:
    """Enhance every file; a failure does not stop the others."""
    from stillwave.cli.batch_view import BatchView
    from stillwave.cores import cores
    from stillwave.inference import run

    view = BatchView(work, quiet, options["rate_out"] is not None)
    threads = jobs or (cores() if enhancer.concurrent else 1)
    outcomes = run(enhancer, work.jobs, threads, view, **options)
    with library_noise_hidden(), stopped_once(), view.shown(), closing(outcomes):
        for outcome in outcomes:
            view.add(outcome)
    view.close()
    return view


def _run_on_ray(enhancer: Enhancer, work: FileBatch, quiet: bool, **options: Any) -> BatchView:
    from stillwave.cli.batch_view import BatchView
    from stillwave.inference.cluster import run_on_ray

    view = BatchView(work, quiet, options["rate_out"] is not None)
    outcomes = run_on_ray(enhancer, work.jobs, view, **options)
    with library_noise_hidden(), stopped_once(), view.shown(), closing(outcomes):
        for outcome in outcomes:
            view.add(outcome)
    view.close()
    return view


def _show_plan(work: FileBatch, overwrite: bool, as_json: bool) -> None:
    """Print the planned files."""
    from stillwave.cli.batch_view import skipped_lines

    rows: list[dict[str, str]] = [{"source": str(path), "skipped": reason} for path, reason in work.skipped]
    for job in work.jobs:
        there = not overwrite and os.path.lexists(job.target)
        fault = {"error": f"{job.target}: exists already"} if there else {}
        rows.append({"source": str(job.source), "target": str(job.target), **fault})
    if as_json:
        _print_json(rows)
        return
    for line in skipped_lines(work):
        note(printable(line))
    for row in rows:
        if "target" in row:
            refused = "  (exists already: --overwrite or --skip-existing)" if "error" in row else ""
            typer.echo(printable(f"{row['source']} → {row['target']}{refused}"))


def _print_json(rows: list[dict[str, Any]]) -> None:
    print_json(rows)
