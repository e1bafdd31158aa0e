"""`stillwave export`: write a checkpoint as one file that runs without PyTorch."""

from __future__ import annotations

from dataclasses import asdict
from math import prod
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from stillwave.cli.options import OUTPUT, AsJson, Overwrite, Quiet, output_option
from stillwave.cli.pipes import print_json
from stillwave.console import no_display, note
from stillwave.errors import StillwaveError

if TYPE_CHECKING:
    from stillwave.exporting.export import ExportReport

PRECISION = "Precision"


def export(
    source: Annotated[Path, typer.Argument(metavar="CKPT", help="Checkpoint or run folder.")],
    output: Annotated[
        Path,
        output_option("FILE", "File to write: .onnx, or .c for C source and a header."),
    ],
    offline: Annotated[
        bool,
        typer.Option(
            "--offline",
            rich_help_panel=OUTPUT,
            help="Write an offline graph, from waveform to waveform, with the STFT inside.",
        ),
    ] = False,
    int8: Annotated[
        bool, typer.Option("--int8", rich_help_panel=PRECISION, help="Store weights in 8 bits.")
    ] = False,
    calibrate: Annotated[
        Path | None,
        typer.Option(
            metavar="DIR",
            rich_help_panel=PRECISION,
            help="With --int8: compute convolutions in 8 bits, with ranges measured on the recordings of this folder.",
        ),
    ] = None,
    dynamic: Annotated[
        bool,
        typer.Option(
            "--dynamic",
            rich_help_panel=PRECISION,
            help="With --int8: compute matrix products in 8 bits, with ranges measured at run time.",
        ),
    ] = False,
    fp16: Annotated[
        bool, typer.Option("--fp16", rich_help_panel=PRECISION, help="Store weights in 16 bits.")
    ] = False,
    on: Annotated[
        Path | None,
        typer.Option(
            metavar="DIR", help="Folder of test mixtures (noisy/ and clean/) to verify and score on."
        ),
    ] = None,
    overwrite: Overwrite = False,
    quiet: Quiet = False,
    as_json: AsJson = False,
) -> None:
    """Write a network as one ONNX file or as C, and verify it.

    A causal network becomes a streaming graph, whose inputs and outputs are
    spectrum frames and states, or, with a name that ends in .c, a function
    in C that takes and returns samples. The result is compared with the
    checkpoint before the file is written, and refused if it differs.

    Example:
        stillwave export runs/student -o student.onnx
        stillwave export runs/student -o small.onnx --int8 --on test/
        stillwave export runs/teacher -o teacher.onnx --offline
        stillwave export runs/student -o student.c

    """
    from stillwave.exporting.export import export as write

    if int8 and fp16:
        raise StillwaveError("--int8 and --fp16 exclude each other; choose one")
    with no_display(quiet):
        report = write(
            source,
            output,
            offline=offline,
            precision="int8" if int8 else "float16" if fp16 else "float32",
            calibrate=calibrate,
            dynamic=dynamic,
            on=on,
            overwrite=overwrite,
        )
    if as_json:
        print_json(asdict(report))
    else:
        typer.echo("\n".join(_lines(report)))
    lost = report.losses.get("pesq_wb")
    if lost is not None and lost.lost > 0.05:
        note(f"{report.target}: the loss of {lost.lost:.3f} PESQ exceeds 0.05", "yellow")


def _lines(report: ExportReport) -> list[str]:
    """Return the report as lines of text."""
    kind = {"stream": "streaming graph", "offline": "offline graph", "c": "C source"}[report.kind]
    lines = [
        f"{report.target}: {kind}, {report.precision}, {report.bytes / 1e6:.2f} MB",
        f"verified on {report.signals}: float32 differs from the checkpoint by {report.difference:.1e} of full scale",
    ]
    if report.states:
        numbers = sum(prod(shape) for shape in report.states.values())
        count = f"{len(report.states)} state{'s' if len(report.states) > 1 else ''}"
        lines.append(f"{count}, {numbers * 4 / 1024:.0f} KiB per stream")
    if report.similarity_db is not None:
        lines.append(
            f"{report.precision}: estimates are {report.similarity_db:.1f} dB above their difference from float32"
        )
    for key, loss in report.losses.items():
        lines.append(
            f"{key}: {loss.float32:.4f} in float32, {loss.reduced:.4f} in {report.precision}: "
            f"a loss of {loss.lost:.4f} ({loss.recordings} recordings)"
        )
    return lines
