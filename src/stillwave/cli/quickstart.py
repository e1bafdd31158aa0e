"""`stillwave quickstart`: run the full pipeline and write an HTML report."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from stillwave.cli.options import OUTPUT, AsJson, Quiet, jobs_option, output_option


def quickstart(
    output: Annotated[
        Path,
        output_option("DIR", "Folder to write into; the same command resumes it."),
    ] = Path("quickstart"),
    audio: Annotated[
        Path | None,
        typer.Option(
            metavar="DIR",
            help="Folder of your own recordings: speech/, noise/ and, optionally, rooms/ and test/.",
        ),
    ] = None,
    enhance: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE", help="Also enhance this recording with the student and the default model."
        ),
    ] = None,
    minutes: Annotated[
        float,
        typer.Option(
            help="Approximate duration in minutes on two idle cores; sets the number of steps.",
            min=0.1,
        ),
    ] = 8.0,
    seed: Annotated[
        int,
        typer.Option(
            help="Random seed of the corpus, the initial weights and the mixtures.", min=0, max=2**32 - 1
        ),
    ] = 0,
    jobs: Annotated[
        int | None,
        jobs_option("Processes that build the corpus and compute scores; default: one per core."),
    ] = None,
    train_teacher: Annotated[
        bool,
        typer.Option("--train-teacher", help="Train a teacher first, instead of using the shipped one."),
    ] = False,
    single_file: Annotated[
        bool,
        typer.Option(
            "--single-file",
            rich_help_panel=OUTPUT,
            help="Also write the report as one file that contains audio and figures.",
        ),
    ] = False,
    quiet: Quiet = False,
    as_json: AsJson = False,
) -> None:
    """Distil a student, score it and write an HTML report with audio.

    Without --audio, a small corpus is synthesised: speech by espeak-ng, and
    noise. With --audio, DIR/speech (a folder for each speaker) and DIR/noise are
    split by speaker and by recording; DIR/test (noisy/ and clean/) is only used
    for scoring.

    Example:
        stillwave quickstart
        stillwave quickstart -o mine --audio recordings/ --enhance interview.wav

    """
    import json

    from stillwave.console import no_display
    from stillwave.quickstart.flow import run
    from stillwave.quickstart.settings import Settings

    settings = Settings(
        output=output,
        audio=audio,
        enhance=enhance,
        minutes=minutes,
        seed=seed,
        jobs=jobs,
        train_teacher=train_teacher,
        single_file=single_file,
    )
    with no_display(quiet):
        result = run(settings)
    typer.echo(json.dumps(result.figures, indent=2, ensure_ascii=False) if as_json else result.line)
