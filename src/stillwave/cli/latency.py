"""`stillwave latency`: what a frame costs on this machine."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from stillwave.profiling.latency import Latency


def latency(
    models: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="[MODEL]...",
            help="Checkpoints or run folders, .onnx files, models that ship, presets (with random weights); by "
            "default the default model.",
        ),
    ] = None,
    backends: Annotated[
        str,
        typer.Option(
            help="Engines to measure, separated by commas: torch, onnx and int8; an .onnx file runs as it is."
        ),
    ] = "torch,onnx,int8",
    frames: Annotated[int, typer.Option(help="Number of frames measured for each backend.", min=10)] = 1000,
    rounds: Annotated[
        int, typer.Option(help="Number of rounds in which backends are measured in turn.", min=1, max=100)
    ] = 5,
    streams: Annotated[
        int,
        typer.Option(
            help="Largest number of parallel streams in one batch to try; 0 tries none.", min=0, max=4096
        ),
    ] = 256,
    core: Annotated[
        int | None,
        typer.Option(
            help="Number of the core to run on, where the system allows it; default: the last.", min=0
        ),
    ] = None,
    output: Annotated[
        Path | None,
        typer.Option("-o", "--output", help="Folder to write the page, the picture and the figures into."),
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object to stdout.")] = False,
) -> None:
    """Measure a frame's time on one thread, its delay, memory and share of the core's peak, for every backend.

    Example:
        stillwave latency
        stillwave latency runs/distilled student.onnx
        stillwave latency dpdcrn-xs dpdcrn-s dpdcrn-m --backends torch,onnx -o latency/

    """
    from stillwave import pretrained
    from stillwave.console import progress_bar
    from stillwave.profiling.latency import measure

    with progress_bar() as bar:
        task = bar.add_task("preparing", total=None, note="")
        found = measure(
            models or [pretrained.default()],
            backends=[name.strip() for name in backends.split(",") if name.strip()],
            frames=frames,
            rounds=min(rounds, frames),
            streams=streams,
            core=core,
            progress=lambda what, done, total: bar.update(
                task, description=what, completed=done, total=total
            ),
        )
        bar.update(task, description="measured", total=1, completed=1)
    if output is not None:
        _write(found, output)
    if as_json:
        typer.echo(json.dumps(found.as_dict(), indent=2, ensure_ascii=False, allow_nan=False))
    else:
        _show(found)


def _write(found: Latency, folder: Path) -> None:
    from stillwave.files import write_json, write_text
    from stillwave.profiling.latency_figures import draw
    from stillwave.profiling.latency_tables import markdown

    pictures = draw(found, folder / "latency")
    write_json(folder / "latency.json", found.as_dict())
    write_text(folder / "latency.md", "# Latency\n\n" + markdown(found, pictures[-1].name))


def _show(found: Latency) -> None:
    from rich import box
    from rich.console import Console
    from rich.table import Table

    from stillwave.profiling.latency_tables import notes, tables

    console = Console()
    for shown in tables(found):
        table = Table(
            title=shown.title, title_justify="left", box=box.SIMPLE_HEAD, pad_edge=False, padding=(0, 1, 0, 0)
        )
        table.add_column("", no_wrap=True)
        for head in shown.heads[2:]:
            table.add_column(
                head.replace("/s", " /s"), justify="right"
            )  # may break there: 80 columns are few
        for model, backend, *cells in shown.lines:
            table.add_row(f"{model} {backend}", *cells)
        console.print(table)
    for line in notes(found):
        console.print(line, highlight=False, markup=False)
