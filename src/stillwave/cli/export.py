"""`stillwave export`: a checkpoint as one file that runs without PyTorch."""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from stillwave.console import err
from stillwave.errors import StillwaveError

if TYPE_CHECKING:
    from stillwave.deploy.export import ExportReport, Format


def export(
    source: Annotated[Path, typer.Argument(metavar="CKPT", help="Checkpoint or run folder.")],
    output: Annotated[Path, typer.Option("--output", "-o", help="File to write: .onnx, or .pt.")],
    offline: Annotated[
        bool, typer.Option("--offline", help="Waveform in, waveform out: the STFT is in the graph.")
    ] = False,
    int8: Annotated[
        bool, typer.Option("--int8", help="Weights (and sums, where it helps) in 8 bits.")
    ] = False,
    fp16: Annotated[bool, typer.Option("--fp16", help="Weights in 16 bits.")] = False,
    calibrate: Annotated[
        Path | None, typer.Option(help="Folder of noisy recordings that --int8 takes its ranges from.")
    ] = None,
    on: Annotated[
        Path | None, typer.Option(help="Folder of noisy/ and clean/ to verify and score the file on.")
    ] = None,
    format: Annotated[
        str | None, typer.Option("--format", help="onnx or torchscript; by default the suffix says.")
    ] = None,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace a file that exists.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="One JSON object on stdout.")] = False,
) -> None:
    """Write a network as one file: ONNX for any runtime, or TorchScript.

    A causal network becomes a streaming graph: spectrum frames and every
    state in, estimates and new states out. The file is compared with the
    checkpoint before it is written, and refused if it differs.

    Example:
        stillwave export runs/student -o student.onnx
        stillwave export runs/student -o small.onnx --int8 --on test/
        stillwave export runs/teacher -o teacher.onnx --offline

    """
    from stillwave.deploy.export import export as write

    if int8 and fp16:
        raise StillwaveError("--int8 and --fp16: a file has one precision; choose one")
    report = write(
        source,
        output,
        offline=offline,
        precision="int8" if int8 else "float16" if fp16 else "float32",
        calibrate=calibrate,
        on=on,
        format=_format(format),
        overwrite=overwrite,
    )
    if as_json:
        typer.echo(json.dumps({**asdict(report), "target": str(report.target)}, indent=2, allow_nan=False))
    else:
        _show(report)


def _format(name: str | None) -> Format | None:
    from typing import get_args

    from stillwave.deploy.export import Format
    from stillwave.errors import nearest

    if name is None:
        return None
    for known in get_args(Format):
        if name == known:
            return known  # type: ignore[no-any-return]
    raise StillwaveError(f"--format {name}: there is no such format; {nearest(name, get_args(Format))}")


def _show(report: ExportReport) -> None:
    err.print(str(report), markup=False)
