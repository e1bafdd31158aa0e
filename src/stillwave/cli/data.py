"""`stillwave data`: build manifests, splits and mixtures from recordings."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from stillwave.cli.data_report import show
from stillwave.cli.options import AsJson, Overrides, Overwrite, RecipeName, output_option
from stillwave.cli.scan import Jobs, scan
from stillwave.cli.simulate import rooms, simulate
from stillwave.output_paths import check_output_file

if TYPE_CHECKING:
    pass

app = typer.Typer()
app.command("scan")(scan)
app.command("simulate")(simulate)
app.command("rooms")(rooms)

Source = Annotated[
    Path,
    typer.Argument(
        metavar="MANIFEST", help="A manifest, or a folder, optionally with a CSV file in or next to it."
    ),
]


@app.command("check")
def check(manifest: Source, jobs: Jobs = None, as_json: AsJson = False) -> None:
    """Verify the files of a manifest: existence, rates, durations, duplicates, speakers.

    The exit code is 1 if there are errors.

    Example:
        stillwave data check speech.jsonl

    """
    from stillwave.data.checks import check as check_recordings
    from stillwave.data.manifest import read_manifest
    from stillwave.data.scan import load

    recordings = load(manifest) if manifest.is_dir() else read_manifest(manifest, must_exist=False)
    report = check_recordings(recordings, jobs)
    show(report, as_json)
    if report["faults"]:
        raise typer.Exit(1)


@app.command("split")
def split(
    manifest: Source,
    fraction: Annotated[
        float, typer.Option(help="Fraction of the total duration that is held out, between 0 and 1.")
    ] = 0.1,
    seed: Annotated[int, typer.Option(min=0, help="Random seed of the split.")] = 0,
    by: Annotated[
        Literal["auto", "speaker", "recording"],
        typer.Option(
            help="Unit that is kept together: 'speaker', 'recording', or 'auto' (speakers if all are known)."
        ),
    ] = "auto",
    pattern: Annotated[
        str | None,
        typer.Option(
            metavar="REGEX",
            help="Regular expression whose first group, in the file name, is the unit that is kept together.",
        ),
    ] = None,
    output: Annotated[
        Path | None,
        output_option(
            "FOLDER", "Folder to write the two manifests into; default: the folder of the manifest."
        ),
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Split a manifest by speaker or recording into NAME-train.jsonl and NAME-development.jsonl.

    Clips of one recording stay together: those of ESC-50 by their names, others by `source` in the manifest or by
    --pattern.

    Example:
        stillwave data split noise.jsonl --fraction 0.2

    """
    from stillwave.data.manifest import hours, write_manifest
    from stillwave.data.scan import load
    from stillwave.data.split import group_of
    from stillwave.data.split import split as split_recordings

    recordings = load(manifest)
    group = group_of(recordings, by, pattern)
    report = {}
    for name, part in zip(
        ("train", "development"), split_recordings(recordings, fraction, seed, by, pattern), strict=True
    ):
        path = (output or manifest.parent) / f"{manifest.stem}-{name}.jsonl"
        write_manifest(path, part)
        groups = len({group(recording) for recording in part})
        report[name] = {
            "manifest": str(path),
            "recordings": len(part),
            "groups": groups,
            "hours": round(hours(part), 3),
        }
    show(report, as_json)


@app.command("mix")
def mix(
    recipe: RecipeName,
    output: Annotated[Path, output_option("FOLDER", "Folder to write into.")],
    count: Annotated[int, typer.Option(min=1, help="Number of mixtures to write.")] = 24,
    seed: Annotated[
        int | None, typer.Option(min=0, help="Random seed of the mixtures; default: the seed of the recipe.")
    ] = None,
    side: Annotated[
        Literal["train", "development"],
        typer.Option(help="Sources of the recipe to mix: of training or of development."),
    ] = "train",
    segments: Annotated[
        bool,
        typer.Option(
            "--segments",
            help="Write segments of data.segment_seconds; default: whole utterances.",
        ),
    ] = False,
    overwrite: Overwrite = False,
    overrides: Overrides = None,
    as_json: AsJson = False,
) -> None:
    """Write mixtures as used in training: noisy/, clean/ (24-bit FLAC) and mixtures.csv.

    Example:
        stillwave data mix small-teacher -o mixtures --count 20 --seed 1

    """
    from stillwave.data.pair_sets import write_mixtures
    from stillwave.data.sources import build_mixer
    from stillwave.recipe import load

    _check_mixtures(output, overwrite)
    loaded = load(recipe, overrides or ())
    mixer = build_mixer(
        loaded.data,
        side,
        loaded.seed if seed is None else seed,
        whole=not segments,
        rate=loaded.model.sample_rate,
        prepare=False,
    )
    write_mixtures(mixer, count, output)
    show({"folder": str(output), "mixtures": count, "utterances": len(mixer)}, as_json)


def _check_mixtures(output: Path, overwrite: bool) -> None:
    """Raise ManifestError if mixtures cannot be written into a folder; only mixtures are replaced."""
    from stillwave.data.manifest import ManifestError

    check_output_file(output / "mixtures.csv")
    there = sorted(path.name for path in output.iterdir()) if output.exists() else []
    if there and not overwrite:
        raise ManifestError(f"{output}: is not empty; give another folder, or --overwrite to replace it")
    others = [name for name in there if name not in ("noisy", "clean", "mixtures.csv")]
    if others:
        raise ManifestError(
            f"{output}: contains '{others[0]}', which is no part of a set of mixtures; give another folder"
        )


@app.command("summary")
def summary(source: Source, jobs: Jobs = None, as_json: AsJson = False) -> None:
    """Print dataset statistics: hours, speakers, rates, levels, clipping, silence, bandwidth, SNR.

    Example:
        stillwave data summary speech.jsonl

    """
    from stillwave.data.summary import summarise

    show(summarise(source, jobs), as_json)
