"""`stillwave data rooms`: simulate room impulse responses."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer


def rooms(
    output: Annotated[
        Path,
        typer.Option(
            "--output",
            "-o",
            metavar="DIR",
            help="Folder to write impulse responses and rooms.jsonl into.",
        ),
    ],
    count: Annotated[int, typer.Option("--count", "-n", min=1, help="Number of rooms to simulate.")] = 200,
    rt60: Annotated[
        tuple[float, float], typer.Option(help="Lowest and highest reverberation time in seconds.")
    ] = (
        0.15,
        0.8,
    ),
    distance: Annotated[
        tuple[float, float],
        typer.Option(help="Smallest and largest distance from the microphone to the talker in metres."),
    ] = (1.0, 3.0),
    seed: Annotated[int, typer.Option(min=0, help="Random seed; the same seed gives the same files.")] = 0,
) -> None:
    """Simulate impulse responses of rooms, and print the path of their manifest.

    Rooms are boxes, simulated by image sources as in `stillwave data simulate`.

    Example:
        stillwave data rooms -o rooms -n 200
        stillwave train small-teacher -o runs/teacher --set data.train.rooms=rooms/rooms.jsonl

    """
    from stillwave.data.manifest import ManifestError
    from stillwave.data.scenes.geometry import SceneConfig
    from stillwave.data.scenes.rir_dataset import write_rooms
    from stillwave.schema import Range

    for name, (low, high) in {"--rt60": rt60, "--distance": distance}.items():
        if low > high:
            raise ManifestError(f"{name} {low:g} {high:g}: give the lowest value first")
    if rt60[0] < 0.05 or not 0.9 <= distance[0] <= 2:
        raise ManifestError("--rt60 must be 0.05 or above, and --distance start at 0.9 to 2 m")
    config = SceneConfig(
        rt60=Range(low=rt60[0], high=rt60[1]), distance=Range(low=distance[0], high=distance[1])
    )
    typer.echo(write_rooms(output, count, config=config, seed=seed))
