"""`stillwave beamform`: baselines for several microphones that need no training."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

import typer

from stillwave.cli.options import AsJson, Quiet, jobs_option, output_option
from stillwave.cli.pipes import print_json
from stillwave.console import no_display, note


def beamform(
    source: Annotated[
        Path, typer.Argument(metavar="SET", help="A folder in the layout of L3DAS23, or a manifest of pairs.")
    ],
    output: Annotated[
        Path,
        output_option("DIR", "Folder to write NAME.wav of every clip into."),
    ],
    by: Annotated[
        Literal["w", "cardioid", "mvdr"],
        typer.Option(
            help="Method: w (channel W of microphone A), cardioid (A, steered to the talker) or mvdr (all channels)."
        ),
    ] = "mvdr",
    jobs: Annotated[int, jobs_option("Number of parallel processes.")] = 1,
    quiet: Quiet = False,
    as_json: AsJson = False,
) -> None:
    """Enhance ambisonic recordings with a beamformer, as a baseline.

    The cardioid needs the position of the talker, which simulated scenes contain
    (scenes/NAME.json). MVDR estimates its masks from the recording.

    Example:
        stillwave beamform L3DAS23_Task1_dev --by mvdr -o mvdr/
        stillwave evaluate --clean L3DAS23_Task1_dev/labels --enhanced mvdr/

    """
    from stillwave.baselines.run import run
    from stillwave.data.pair_sets import read_pairs

    with no_display(quiet):
        done = run(by, read_pairs(source), output, jobs=jobs)
    for name, fault in done.failed:
        note(f"{name}: {fault}")
    report = {"folder": str(done.folder), "written": done.written, "failed": len(done.failed)}
    if as_json:
        print_json({**report, "faults": dict(done.failed)})
    else:
        typer.echo("  ".join(f"{key} {value}" for key, value in report.items()))
    if done.failed:
        raise typer.Exit(1)
