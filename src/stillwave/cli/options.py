"""Options that several verbs share, and the help panels that they are shown in."""

from __future__ import annotations

from enum import Enum
from pathlib import Path
from typing import Annotated, Any

import typer

from stillwave.cli.complete import complete_model, complete_recipe
from stillwave.cli.defaults import DEVICE, JOBS, MODEL, RECOGNISER
from stillwave.errors import StillwaveError

OUTPUT, RUNNING, SIGNAL = "Output", "Running", "Model and signal"
"""Help panels of verbs with many options."""


def output_option(metavar: str, text: str) -> Any:
    """Return the declaration of `--output` with the help `text`."""
    return typer.Option("--output", "-o", metavar=metavar, rich_help_panel=OUTPUT, help=text)


def jobs_option(text: str) -> Any:
    """Return the declaration of `--jobs` with the help `text`."""
    return typer.Option("--jobs", "-j", min=1, envvar=JOBS, rich_help_panel=RUNNING, help=text)


def model_option(text: str) -> Any:
    """Return the declaration of `--model` with the help `text`."""
    return typer.Option(
        "--model",
        "-m",
        metavar="MODEL",
        envvar=MODEL,
        autocompletion=complete_model,
        rich_help_panel=SIGNAL,
        help=text,
    )


_RUN = output_option("RUN", "Run folder; the same command resumes an interrupted run.")
_RECIPE = typer.Argument(
    metavar="RECIPE", autocompletion=complete_recipe, help="A recipe file or the name of a shipped recipe."
)
RecipeName = Annotated[str, _RECIPE]
OptionalRecipe = Annotated[str | None, _RECIPE]
RunFolder = Annotated[Path, _RUN]
OptionalRun = Annotated[Path | None, _RUN]
Overrides = Annotated[
    list[str] | None,
    typer.Option(
        "--set",
        metavar="KEY=VALUE",
        help="Override a key of the recipe, as in train.steps=200. Repeat it for several.",
    ),
]
Teacher = Annotated[
    str | None,
    typer.Option(
        metavar="TEACHER",
        help="Checkpoint or run folder of the teacher, an ONNX or TorchScript file, python:MODULE:FUNCTION, a folder "
        "of its outputs, or deepfilternet3, rnnoise or nsnet2; default: distill.teacher of the recipe.",
    ),
]
TeacherCommand = Annotated[
    str | None,
    typer.Option(
        "--teacher-command",
        metavar="'TOOL {in} {out}'",
        help="A program as the teacher: it reads the WAV file {in} and writes {out}; run without a shell.",
    ),
]
Metrics = Annotated[
    str | None,
    typer.Option(
        rich_help_panel="Scores",
        help="Metrics to score with, separated by commas; default: PESQ, STOI, ESTOI, SI-SDR, CSIG, CBAK and COVL.",
    ),
]
RecogniserName = Annotated[
    str | None,
    typer.Option(
        "--recogniser",
        envvar=RECOGNISER,
        rich_help_panel="Scores",
        help="Speech recogniser for word error rate and T1: a folder of faster-whisper, pocketsphinx, wav2vec2:FOLDER, "
        "whisper:PATH or 'cmd: PROGRAM {wav}'; 'none' overrides a default; default: none.",
    ),
]
CausalModel = Annotated[
    str | None,
    model_option(
        "Name of a shipped model (`stillwave models`), an .onnx file, or a checkpoint of a causal network; "
        "default: the default model."
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
Strength = Annotated[
    float | None,
    typer.Option(
        "--strength",
        min=0,
        max=1,
        metavar="SHARE",
        rich_help_panel=SIGNAL,
        help="Share of the output that is the estimate, the rest is the input; 0.75 is --limit-db 12; default: 1.",
    ),
]


def limit_of(limit_db: float | None, strength: float | None) -> float | None:
    """Return the limit in dB that `--limit-db` or `--strength` sets. Raises StillwaveError if both are given."""
    if strength is None:
        return limit_db
    if limit_db is not None:
        raise StillwaveError("--strength and --limit-db set the same limit; give one of them")
    from stillwave.inference.pipeline import limit_of_strength

    return limit_of_strength(strength)


References = Annotated[
    str,
    typer.Option(
        "--references",
        rich_help_panel="Scores",
        help="Reference transcripts: 'clean', the recogniser's output for the clean reference, or 'texts', the "
        "text that was spoken.",
    ),
]
Baseline = Annotated[
    str | None,
    typer.Option(
        "--baseline",
        metavar="NAME",
        rich_help_panel="Scores",
        help="System that the others are compared with; default: noisy.",
    ),
]


class Purpose(str, Enum):
    """What the output is for."""

    listening = "listening"
    asr = "asr"


PurposeOption = Annotated[
    Purpose,
    typer.Option(
        "--for",
        rich_help_panel=SIGNAL,
        help="What the output is for: listening, or asr (speech recognition), which leaves the recording as it is "
        "unless --guard finds it better enhanced.",
    ),
]
GuardOption = Annotated[
    str | None,
    typer.Option(
        "--guard",
        metavar="RECOGNISER",
        rich_help_panel=SIGNAL,
        help="With --for asr: faster-whisper:FOLDER, which transcribes each recording with and without enhancement; "
        "the version that it is surer of is written. Default: none.",
    ),
]


class Executor(str, Enum):
    """Where files are enhanced."""

    local = "local"
    ray = "ray"


ExecutorOption = Annotated[
    Executor,
    typer.Option(
        "--executor",
        rich_help_panel=RUNNING,
        help="Where files are enhanced: local (this machine) or ray (a Ray cluster, one file for each core, with the "
        "same paths on all machines; --jobs has no effect).",
    ),
]


class Bandwidth(str, Enum):
    """Bandwidth of the output, as `bandwidth` of `stillwave.load`."""

    full = "full"
    model = "model"


BandwidthOption = Annotated[
    Bandwidth,
    typer.Option(
        "--bandwidth",
        rich_help_panel=SIGNAL,
        help="Bandwidth of the output: full keeps what lies above the model's band (8 kHz) and attenuates it as the "
        "model's uppermost third; model removes it.",
    ),
]
KeepCleanOption = Annotated[
    bool,
    typer.Option(
        "--keep-clean",
        rich_help_panel=SIGNAL,
        help="Leave recordings and passages as they are in which the model removes almost nothing (30 dB less than the "
        "level of the speech).",
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
