"""`stillwave quickstart`: from nothing to a page that shows and plays what distillation did."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer


def quickstart(
    output: Annotated[
        Path, typer.Option("--output", "-o", help="Folder to write into; the same command resumes it.")
    ] = Path("quickstart"),
    audio: Annotated[
        Path | None,
        typer.Option(
            metavar="DIR",
            help="Use your own recordings: a folder with speech/ and noise/, and if you like "
            "rooms/ and test/.",
        ),
    ] = None,
    enhance: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE", help="Also enhance this recording, with the student and the shipped model."
        ),
    ] = None,
    minutes: Annotated[
        float,
        typer.Option(
            help="Approximate duration in minutes on two idle cores, which sets the number of "
            "training steps.",
            min=0.1,
        ),
    ] = 8.0,
    seed: Annotated[
        int,
        typer.Option(
            help="Random seed of the corpus, the first weights and the mixtures.", min=0, max=2**32 - 1
        ),
    ] = 0,
    jobs: Annotated[
        int | None,
        typer.Option(help="Processes that make the corpus and compute scores; default: one per core.", min=1),
    ] = None,
    train_teacher: Annotated[
        bool,
        typer.Option("--train-teacher", help="Train a teacher first, instead of taking the one that ships."),
    ] = False,
    single_file: Annotated[
        bool,
        typer.Option("--single-file", help="Also write the page as one file with sound and pictures in it."),
    ] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print the figures as JSON.")] = False,
) -> None:
    """Distil a student from the teacher that ships, score it, and leave a page to look at and listen to.

    Without --audio it builds a small corpus by itself: espeak-ng speaks, noises are computed.
    With --audio, DIR/speech (a folder for each speaker) and DIR/noise are split by speaker and by
    recording; a DIR/test with noisy/ and clean/ is used as it is and never trained on.

    Example:
        stillwave quickstart
        stillwave quickstart -o mine --audio recordings/ --enhance interview.wav

    """
    import json

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
    result = run(settings)
    typer.echo(json.dumps(result.figures, indent=2, ensure_ascii=False) if as_json else result.line)
