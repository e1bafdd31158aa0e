"""`stillwave adapt`: specialise a model for a place or a microphone."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from stillwave.cli.complete import complete_recipe
from stillwave.cli.options import AsJson, Quiet, model_option, output_option
from stillwave.errors import StillwaveError

TRAINING = "Training"


def adapt(
    recordings: Annotated[
        Path,
        typer.Option(
            metavar="DIR", help="Folder of noisy recordings of the place, with speech; a few minutes or more."
        ),
    ],
    output: Annotated[
        Path,
        output_option("DIR", "Folder of the adapted model; the same command resumes an interrupted one."),
    ],
    model: Annotated[
        str,
        model_option("Model to start from: the name of a shipped one, or a checkpoint or run folder."),
    ] = "bsrnn-xs",
    teacher: Annotated[
        str | None,
        typer.Option(
            metavar="TEACHER",
            rich_help_panel=TRAINING,
            help="What estimates the speech: a checkpoint or run folder, a shipped model, python:MODULE:FUNCTION, "
            "deepfilternet3, rnnoise or nsnet2, or self for the model itself; default: the shipped teacher.",
        ),
    ] = None,
    data: Annotated[
        str | None,
        typer.Option(
            metavar="RECIPE",
            autocompletion=complete_recipe,
            rich_help_panel=TRAINING,
            help="Mix in the training examples of this recipe, so that the model keeps more of what it could.",
        ),
    ] = None,
    share: Annotated[
        float | None,
        typer.Option(
            min=0,
            max=1,
            rich_help_panel=TRAINING,
            help="Share of examples that --data provides; default: 0.5.",
        ),
    ] = None,
    remixed: Annotated[
        float,
        typer.Option(
            min=0,
            max=1,
            rich_help_panel=TRAINING,
            help="Share of the other examples that have the noise of another part of the recordings (RemixIT).",
        ),
    ] = 0.0,
    strength: Annotated[
        float,
        typer.Option(
            min=0,
            max=1,
            rich_help_panel=TRAINING,
            help="How far the weights go from those of the model (0) to the trained ones (1).",
        ),
    ] = 0.25,
    steps: Annotated[
        int, typer.Option(min=1, rich_help_panel=TRAINING, help="Number of updates of the weights.")
    ] = 300,
    seed: Annotated[
        int,
        typer.Option(
            min=0,
            max=2**32 - 1,
            rich_help_panel=TRAINING,
            help="Random seed of the held-out recordings and of the training.",
        ),
    ] = 0,
    quiet: Quiet = False,
    as_json: AsJson = False,
) -> None:
    """Specialise a model for a place or a microphone, without clean recordings.

    A teacher estimates the speech in the recordings, and the model learns these
    estimates. Print what changed on held-out recordings, and the folder of the
    adapted model, which enhance, evaluate, export and distill take.

    Example:
        stillwave adapt --recordings kitchen/ -o kitchen-model
        stillwave enhance call.wav --model kitchen-model

    """
    from stillwave.adaptation import Settings
    from stillwave.adaptation import adapt as run
    from stillwave.adaptation.report import lines
    from stillwave.cli.pipes import print_json

    if share is not None and data is None:
        raise StillwaveError("--share: is the share of examples from --data RECIPE, which is not given")
    settings = Settings(
        recordings=recordings,
        output=output,
        model=model,
        teacher=teacher,
        data=data,
        share=0.5 if share is None else share,
        remixed=remixed,
        strength=strength,
        steps=steps,
        seed=seed,
    )
    result = run(settings, quiet=quiet)
    if as_json:
        print_json(result.figures())
        return
    for line in lines(result):
        typer.echo(line)
