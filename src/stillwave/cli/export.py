"""`stillwave export`: a checkpoint as one file that runs without PyTorch."""

from __future__ import annotations

import json
from dataclasses import asdict
from math import prod
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from stillwave.console import err
from stillwave.errors import StillwaveError

if TYPE_CHECKING:
    from stillwave.exporting.export import ExportReport


def export(
    source: Annotated[Path, typer.Argument(metavar="CKPT", help="Checkpoint or run folder.")],
    output: Annotated[Path, typer.Option("--output", "-o", help="File to write: .onnx.")],
    offline: Annotated[
        bool,
        typer.Option(
            "--offline",
            help="Write a graph from waveform to waveform, with the STFT in it, for whole recordings.",
        ),
    ] = False,
    int8: Annotated[bool, typer.Option("--int8", help="Store weights in 8 bits.")] = False,
    calibrate: Annotated[
        Path | None,
        typer.Option(
            help="With --int8: compute convolutions in 8 bits, with ranges measured on this "
            "folder's recordings."
        ),
    ] = None,
    dynamic: Annotated[
        bool,
        typer.Option(
            "--dynamic",
            help="With --int8: compute matrix products in 8 bits, with ranges measured at run time.",
        ),
    ] = False,
    fp16: Annotated[bool, typer.Option("--fp16", help="Store weights in 16 bits.")] = False,
    on: Annotated[
        Path | None, typer.Option(help="Folder of noisy/ and clean/ to verify and score the file on.")
    ] = None,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace a file that exists.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object to stdout.")] = False,
) -> None:
    """Export a network to an ONNX file.

    A causal network becomes a streaming graph: spectrum frames and every
    state in, estimates and new states out. The file is compared with the
    checkpoint before it is written, and refused if it differs.

    Example:
        stillwave export runs/student -o student.onnx
        stillwave export runs/student -o small.onnx --int8 --on test/
        stillwave export runs/teacher -o teacher.onnx --offline

    """
    from stillwave.exporting.export import export as write

    if int8 and fp16:
        raise StillwaveError("--int8 and --fp16: a file has one precision; choose one")
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
        typer.echo(json.dumps(asdict(report), indent=2, ensure_ascii=False, allow_nan=False, default=str))
    else:
        typer.echo("\n".join(_lines(report)))
    lost = report.losses.get("pesq_wb")
    if lost is not None and lost.lost > 0.05:
        err.print(
            f"{report.target}: loses {lost.lost:.3f} PESQ, more than 0.05", style="yellow", highlight=False
        )


def _lines(report: ExportReport) -> list[str]:
    """The report as people read it."""
    kind = "streams, frame by frame" if report.kind == "stream" else "whole signals"
    lines = [
        f"{report.target}: {kind}, {report.precision}, {report.bytes / 1e6:.2f} MB",
        f"compared with its source on {report.signals}: float32 differs by {report.difference:.1e} of full scale",
    ]
    if report.states:
        numbers = sum(prod(shape) for shape in report.states.values())
        lines.append(f"{len(report.states)} states, {numbers * 4 / 1024:.0f} KiB a stream")
    if report.similarity_db is not None:
        lines.append(
            f"{report.precision}: estimates are {report.similarity_db:.1f} dB above their difference"
        )
    for key, loss in report.losses.items():
        lines.append(
            f"{key}: {loss.float32:.4f} in float32, {loss.reduced:.4f} in {report.precision}: "
            f"loses {loss.lost:.4f} ({loss.recordings} recordings)"
        )
    return lines
