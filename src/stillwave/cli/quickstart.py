"""`stillwave quickstart`: from nothing to a page that shows and plays what distillation did."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer


def quickstart(
    output: Annotated[
        Path, typer.Option("--output", "-o", help="The folder to fill; the same command goes on with it.")
    ] = Path("quickstart"),
    audio: Annotated[
        Path | None,
        typer.Option(
            metavar="DIR", help="Your own recordings instead: DIR/speech and DIR/noise [rooms, test]."
        ),
    ] = None,
    enhance: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Denoise this recording of yours too.")
    ] = None,
    minutes: Annotated[
        float,
        typer.Option(
            help="About how long on two idle cores; it sets the number of steps.",
            min=0.1,
        ),
    ] = 8.0,
    seed: Annotated[int, typer.Option(help="Of corpus, weights and mixtures.", min=0, max=2**32 - 1)] = 0,
    jobs: Annotated[
        int | None, typer.Option(help="Processes for the corpus and the scores; by default all cores.", min=1)
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
