"""Options that several verbs share, and the help panels that they are shown in."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from stillwave.cli.complete import complete_model, complete_recipe
from stillwave.cli.defaults import DEVICE, JOBS, MODEL

OUTPUT, RUNNING, SIGNAL = "Output", "Running", "Model and signal"
"""Help panels of verbs with many options."""

RecipeName = Annotated[
    str,
    typer.Argument(
        metavar="RECIPE",
        autocompletion=complete_recipe,
        help="A recipe file or the name of a shipped recipe.",
    ),
]
Overrides = Annotated[
    list[str] | None,
    typer.Option(
        "--set",
        metavar="KEY=VALUE",
        help="Override a key of the recipe, as in train.steps=200. Repeat it for several.",
    ),
]
RunFolder = Annotated[
    Path,
    typer.Option(
        "--output",
        "-o",
        metavar="RUN",
        rich_help_panel=OUTPUT,
        help="Run folder; the same command resumes an interrupted run.",
    ),
]
Teacher = Annotated[
    str | None,
    typer.Option(
        metavar="CKPT",
        help="Checkpoint or run folder of the teacher; default: distill.teacher of the recipe.",
    ),
]
Metrics = Annotated[
    str | None,
    typer.Option(
        rich_help_panel="Scores",
        help="Metrics to score with, separated by commas; default: all but DNSMOS and SNR.",
    ),
]
CausalModel = Annotated[
    str | None,
    typer.Option(
        "--model",
        "-m",
        metavar="MODEL",
        envvar=MODEL,
        autocompletion=complete_model,
        rich_help_panel=SIGNAL,
        help="Name of a shipped model (`stillwave models`), an .onnx file, or a checkpoint of a causal network; "
        "default: the default model.",
    ),
]
LimitDb = Annotated[
    float | None,
    typer.Option(
        "--limit-db",
        min=0,
        rich_help_panel=SIGNAL,
        help="Reduce noise by at most this many dB; default: no limit.",
    ),
]
Device = Annotated[
    str,
    typer.Option(
        envvar=DEVICE,
        rich_help_panel=RUNNING,
        help="Device that a checkpoint runs on: auto, cpu, cuda or cuda:N.",
    ),
]
Overwrite = Annotated[
    bool, typer.Option("--overwrite", rich_help_panel=OUTPUT, help="Replace output that exists.")
]
Quiet = Annotated[
    bool, typer.Option("--quiet", "-q", rich_help_panel=RUNNING, help="Print warnings and errors only.")
]
AsJson = Annotated[
    bool, typer.Option("--json", rich_help_panel=OUTPUT, help="Print the result to stdout as JSON.")
]


def jobs_option(text: str) -> Any:
    """Return the declaration of `--jobs` with the help `text`."""
    return typer.Option("--jobs", "-j", min=1, envvar=JOBS, rich_help_panel=RUNNING, help=text)
