"""`stillwave latency`: measure the time per frame on this machine."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from stillwave.cli.complete import complete_network
from stillwave.cli.options import AsJson, Quiet, output_option
from stillwave.cli.pipes import print_json

if TYPE_CHECKING:
    from stillwave.profiling.latency import Latency


def latency(
    models: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="MODEL",
            autocompletion=complete_network,
            help="Shipped models, .onnx files, checkpoints, run folders, or presets (random weights); default: the "
            "default model.",
        ),
    ] = None,
    backends: Annotated[
        str,
        typer.Option(
            help="Backends to measure, separated by commas: torch, onnx and int8; ignored for .onnx files."
        ),
    ] = "torch,onnx,int8",
    frames: Annotated[int, typer.Option(help="Number of frames to measure for each backend.", min=10)] = 1000,
    rounds: Annotated[
        int, typer.Option(help="Number of rounds; in each, all backends are measured.", min=1, max=100)
    ] = 5,
    streams: Annotated[
        int,
        typer.Option(
            help="Largest number of parallel streams in a batch to measure; 0 measures none.", min=0, max=4096
        ),
    ] = 256,
    core: Annotated[
        int | None,
        typer.Option(
            help="Number of the core to run on, if the system supports it; default: the last.", min=0
        ),
    ] = None,
    output: Annotated[
        Path | None,
        output_option("DIR", "Folder to write tables, figures and JSON into."),
    ] = None,
    quiet: Quiet = False,
    as_json: AsJson = False,
) -> None:
    """Measure time per frame on one thread, delay and memory, by backend.

    Example:
        stillwave latency
        stillwave latency runs/distilled student.onnx
        stillwave latency dpdcrn-xs dpdcrn-s dpdcrn-m --backends torch,onnx -o latency/

    """
    from stillwave import pretrained
    from stillwave.console import no_display, progress_bar
    from stillwave.profiling.latency import measure

    with no_display(quiet), progress_bar() as bar:
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
        print_json(found.as_dict())
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
            table.add_column(head.replace("/s", " /s"), justify="right")  # allows a line break
        for model, backend, *cells in shown.lines:
            table.add_row(f"{model} {backend}", *cells)
        console.print(table)
    for line in notes(found):
        console.print(line, highlight=False, markup=False)
