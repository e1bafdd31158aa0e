"""`stillwave submission`: enhanced files in the folder format of the L3DAS challenge."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from stillwave.console import err


def submission(
    enhanced: Annotated[Path, typer.Argument(help="Folder of enhanced files: NAME.wav or NAME_A.wav, mono.")],
    inputs: Annotated[
        Path, typer.Option(help="Folder of the challenge's test recordings: NAME_A.wav (and NAME_B.wav).")
    ],
    team: Annotated[str, typer.Option(help="Name of the team; the archive is called TEAM_audioonly.zip.")],
    out: Annotated[Path, typer.Option("--out", "-o", help="Folder to write into.")] = Path("submission"),
    microphones: Annotated[
        int, typer.Option(min=1, max=2, help="Number of microphones that the network expects: 1 or 2.")
    ] = 1,
    audiovisual: Annotated[
        bool, typer.Option("--audiovisual", help="Write for the track where pictures may be used.")
    ] = False,
) -> None:
    """Write enhanced files as the L3DAS23 challenge (Task 1) takes them.

    Every input must have one file of its length; else nothing is written.
    The other number of microphones, if it is there, is kept and archived too.

    Example:
        stillwave submission enhanced/ --inputs L3DAS23_Task1_test/data --team us
        stillwave submission out/ --inputs data/ --team us --microphones 2

    """
    from stillwave.evaluation.challenge import write_submission

    done = write_submission(
        enhanced,
        inputs,
        out,
        team,
        1 if microphones == 1 else 2,
        "audiovisual" if audiovisual else "audioonly",
    )
    err.print(f"{done.recordings} recordings, {done.seconds:.1f} s", highlight=False)
    typer.echo(str(done.archive))
