"""`stillwave beamform`: baselines of several microphones that need no training."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated, Literal

import typer

from stillwave.cli.recipes import AsJson
from stillwave.console import err


def beamform(
    source: Annotated[
        Path, typer.Argument(metavar="SET", help="A set in the layout of L3DAS23, or a manifest of pairs.")
    ],
    output: Annotated[
        Path,
        typer.Option("--output", "-o", metavar="DIR", help="Folder to write NAME.wav for every clip into."),
    ],
    by: Annotated[
        Literal["w", "cardioid", "mvdr"],
        typer.Option(
            help="Method: w (channel W of microphone A), cardioid (A, steered at the talker) or "
            "mvdr (all channels)."
        ),
    ] = "mvdr",
    jobs: Annotated[int, typer.Option("--jobs", "-j", min=1, help="Number of parallel processes.")] = 1,
    as_json: AsJson = False,
) -> None:
    """Enhance ambisonic recordings without a network, to stand beside one.

    The cardioid needs to know where the talker is: simulated scenes say so
    (scenes/NAME.json). MVDR estimates its masks from the recording.

    Example:
        stillwave beamform L3DAS23_Task1_dev --by mvdr -o mvdr/
        stillwave evaluate --clean L3DAS23_Task1_dev/labels --enhanced mvdr/

    """
    from stillwave.baselines.run import run
    from stillwave.data.pair_sets import read_pairs

    done = run(by, read_pairs(source), output, jobs=jobs)
    for name, fault in done.failed:
        err.print(f"{name}: {fault}", highlight=False, markup=False)
    report = {"folder": str(done.folder), "written": done.written, "failed": len(done.failed)}
    if as_json:
        typer.echo(json.dumps({**report, "faults": dict(done.failed)}, indent=2, ensure_ascii=False))
    else:
        typer.echo("  ".join(f"{key} {value}" for key, value in report.items()))
    if done.failed:
        raise typer.Exit(1)
