"""`stillwave data simulate` and `stillwave data rooms`: simulate scenes in the layout of L3DAS23, and rooms."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from stillwave.cli.options import AsJson, Quiet, jobs_option, output_option
from stillwave.cli.pipes import print_json
from stillwave.console import no_display

if TYPE_CHECKING:
    from stillwave.data.scenes.geometry import SceneConfig
    from stillwave.schema import Range

Bounds = tuple[float, float]
SOURCES, SCENES = "Sources", "Scenes"


def simulate(
    output: Annotated[Path, output_option("DIR", "Folder to write L3DAS23_Task1_SUBSET into.")],
    speech: Annotated[
        Path, typer.Option(rich_help_panel=SOURCES, help="Manifest or folder of speech recordings.")
    ],
    noise: Annotated[
        Path, typer.Option(rich_help_panel=SOURCES, help="Manifest or folder of noise recordings.")
    ],
    clips: Annotated[int, typer.Option(min=1, help="Number of scenes to simulate.")] = 1000,
    subset: Annotated[
        Literal["train100", "train360", "dev", "test"],
        typer.Option("--subset", help="Name of the subset to write."),
    ] = "train100",
    seed: Annotated[int, typer.Option(min=0, help="Random seed; the same seed gives the same files.")] = 0,
    jobs: Annotated[
        int,
        jobs_option("Number of parallel processes; does not change the files."),
    ] = 1,
    rt60: Annotated[
        Bounds,
        typer.Option(rich_help_panel=SCENES, help="Lowest and highest reverberation time in seconds."),
    ] = (0.15, 0.5),
    distance: Annotated[
        Bounds,
        typer.Option(
            rich_help_panel=SCENES,
            help="Smallest and largest distance from microphone A to the talker in metres.",
        ),
    ] = (1.0, 3.0),
    snr: Annotated[
        Bounds,
        typer.Option(rich_help_panel=SCENES, help="Lowest and highest signal-to-noise ratio in dB."),
    ] = (-5.0, 15.0),
    noises: Annotated[
        int, typer.Option(rich_help_panel=SCENES, min=1, max=3, help="Largest number of simultaneous noises.")
    ] = 3,
    max_seconds: Annotated[
        float, typer.Option(rich_help_panel=SOURCES, help="Longest utterance that is used, in seconds.")
    ] = 12.0,
    convention: Annotated[
        Literal["acn_sn3d", "fuma"],
        typer.Option(
            rich_help_panel=SCENES,
            help="Channel order and scale: acn_sn3d (W Y Z X, as AmbiX and L3DAS23) or fuma (W/√2 X Y Z).",
        ),
    ] = "acn_sn3d",
    cache: Annotated[
        Path | None,
        typer.Option(
            rich_help_panel=SOURCES,
            help="Folder of decoded recordings; default: the cache folder of the user.",
        ),
    ] = None,
    quiet: Quiet = False,
    as_json: AsJson = False,
) -> None:
    r"""Simulate talkers and noises in rooms with two ambisonic microphones.

    The same command resumes an interrupted simulation. Rooms are rectangular;
    positions, reverberation, noises and SNR of each scene are in its JSON file.

    Example:
        stillwave data simulate -o sim --speech speech.jsonl --noise noise.jsonl
        stillwave data simulate -o sim --subset dev --clips 24 --seed 1 --jobs 4 \
            --speech speech-development.jsonl --noise noise-development.jsonl

    """
    from stillwave.data.corpora import folders
    from stillwave.data.decoded_cache import DecodedAudioCache
    from stillwave.data.scan import load
    from stillwave.data.scenes.corpus import simulate as write_scenes

    config = _scenes(
        rt60,
        distance,
        snr_db=_range("--snr", snr),
        noises=noises,
        max_seconds=max_seconds,
        convention=convention,
    )
    with no_display(quiet):
        written = write_scenes(
            output,
            load(speech, kind="speech"),
            load(noise, folders.describe_noise, kind="noise"),
            clips,
            subset=subset,
            config=config,
            seed=seed,
            jobs=jobs,
            store=DecodedAudioCache(cache),
        )
    report = {**asdict(written), "folder": str(written.folder), "seconds": round(written.seconds, 1)}
    if as_json:
        print_json(report)
    else:
        for key, value in report.items():
            typer.echo(f"{key.replace('_', ' '):20} {value}")


def rooms(
    output: Annotated[
        Path,
        output_option("DIR", "Folder to write impulse responses and rooms.jsonl into."),
    ],
    count: Annotated[int, typer.Option("--count", min=1, help="Number of rooms to simulate.")] = 200,
    rt60: Annotated[Bounds, typer.Option(help="Lowest and highest reverberation time in seconds.")] = (
        0.15,
        0.8,
    ),
    distance: Annotated[
        Bounds,
        typer.Option(help="Smallest and largest distance from the microphone to the talker in metres."),
    ] = (1.0, 3.0),
    seed: Annotated[int, typer.Option(min=0, help="Random seed; the same seed gives the same files.")] = 0,
) -> None:
    """Simulate impulse responses of rooms, and print the path of their manifest.

    Rooms are rectangular and simulated by image sources as in `stillwave data simulate`.

    Example:
        stillwave data rooms -o rooms --count 200
        stillwave train small-teacher -o runs/teacher --set data.train.rooms=rooms/rooms.jsonl

    """
    from stillwave.data.scenes.rir_dataset import write_rooms

    config = _scenes(rt60, distance)
    typer.echo(write_rooms(output, count, config=config, seed=seed))


def _scenes(rt60: Bounds, distance: Bounds, **options: Any) -> SceneConfig:
    """Return the parameters of scenes. Raises ManifestError for values outside of what can be simulated."""
    from stillwave.data.manifest import ManifestError
    from stillwave.data.scenes.geometry import SceneConfig

    if rt60[0] < 0.05:
        raise ManifestError(f"--rt60 {rt60[0]:g} {rt60[1]:g}: the lowest value must be 0.05 s or above")
    if not 0.9 <= distance[0] <= 2:
        raise ManifestError(
            f"--distance {distance[0]:g} {distance[1]:g}: the lowest value must be 0.9 to 2 m"
        )
    if options.get("max_seconds", 1) <= 0:
        raise ManifestError(f"--max-seconds {options['max_seconds']:g}: must be above 0")
    return SceneConfig(rt60=_range("--rt60", rt60), distance=_range("--distance", distance), **options)


def _range(option: str, bounds: Bounds) -> Range:
    from stillwave.data.manifest import ManifestError
    from stillwave.schema import Range

    if bounds[0] > bounds[1]:
        raise ManifestError(f"{option} {bounds[0]:g} {bounds[1]:g}: give the lowest value first")
    return Range(low=bounds[0], high=bounds[1])
