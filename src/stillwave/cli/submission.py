"""`stillwave submission`: convert enhanced files to the format of the L3DAS challenge."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from stillwave.cli.options import AsJson, output_option
from stillwave.cli.pipes import print_json
from stillwave.console import note


def submission(
    enhanced: Annotated[
        Path, typer.Argument(metavar="DIR", help="Folder of enhanced files: NAME.wav or NAME_A.wav, mono.")
    ],
    inputs: Annotated[
        Path,
        typer.Option(help="Folder of the test recordings of the challenge: NAME_A.wav (and NAME_B.wav)."),
    ],
    team: Annotated[str, typer.Option(help="Name of the team; the archive is called TEAM_audioonly.zip.")],
    output: Annotated[Path, output_option("DIR", "Folder to write into.")] = Path("submission"),
    microphones: Annotated[
        int, typer.Option(min=1, max=2, help="Number of microphones that the network expects: 1 or 2.")
    ] = 1,
    audiovisual: Annotated[
        bool, typer.Option("--audiovisual", help="Write for the audio-visual track.")
    ] = False,
    as_json: AsJson = False,
) -> None:
    """Convert enhanced files to the format of the L3DAS23 challenge (Task 1).

    Every input needs one file of its length; otherwise nothing is written.
    The archive also gets a result in the output folder for the other number of
    microphones.

    Example:
        stillwave submission enhanced/ --inputs L3DAS23_Task1_test/data --team us
        stillwave submission out/ --inputs data/ --team us --microphones 2

    """
    from stillwave.evaluation.challenge import write_submission

    done = write_submission(
        enhanced,
        inputs,
        output,
        team,
        1 if microphones == 1 else 2,
        "audiovisual" if audiovisual else "audioonly",
    )
    if as_json:
        report = {"archive": str(done.archive), "recordings": done.recordings, "seconds": done.seconds}
        print_json(report)
        return
    note(f"{done.recordings} recordings, {done.seconds:.1f} s")
    typer.echo(str(done.archive))
