"""`stillwave data scan`: write a manifest of recordings."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal, cast

import typer

from stillwave.cli.data_report import left_out, scan_report, show
from stillwave.cli.options import AsJson, jobs_option, output_option
from stillwave.console import library_noise_hidden, note
from stillwave.output_paths import check_output_file

if TYPE_CHECKING:
    from stillwave.data.manifest import Kind


Jobs = Annotated[
    int | None,
    jobs_option("Files that are read in parallel; default: one per core, at most 8."),
]


def scan(
    folder: Annotated[
        Path, typer.Argument(metavar="FOLDER", help="A folder or a CSV file that lists recordings.")
    ],
    output: Annotated[Path, output_option("MANIFEST", "Manifest to write.")],
    corpus: Annotated[
        str, typer.Option(help="Layout of the corpus: folders, dns2020, voicebank, l3das22 or l3das23.")
    ] = "folders",
    kind: Annotated[
        Literal["speech", "noise", "rooms"] | None,
        typer.Option(
            help="Kind of recordings in a plain folder; default: by its name. Sub-folders name speakers or "
            "classes of noise."
        ),
    ] = None,
    speaker: Annotated[
        str | None,
        typer.Option(
            metavar="REGEX",
            help="Regular expression whose first group is the speaker in a path; default: the first sub-folder.",
        ),
    ] = None,
    column: Annotated[
        list[str] | None,
        typer.Option(
            metavar="FIELD=COLUMN",
            help="Column of a CSV file with path, speaker, text, label, licence or source (the recording that a clip "
            "is a part of). Usual names are found automatically, except for source. Repeat it for several.",
        ),
    ] = None,
    headers_only: Annotated[
        bool,
        typer.Option(
            "--headers-only",
            help="Read headers only: faster, but does not detect silence, NaN and truncated files.",
        ),
    ] = False,
    microphones: Annotated[
        int,
        typer.Option(
            min=1, max=2, help="Number of microphones of L3DAS to use: 2, or 1 for A (B may be missing)."
        ),
    ] = 2,
    convention: Annotated[
        Literal["acn_sn3d", "fuma"],
        typer.Option(help="Channel order and scale of L3DAS; converted when the files are read."),
    ] = "acn_sn3d",
    jobs: Jobs = None,
    as_json: AsJson = False,
) -> None:
    """Write a manifest of the recordings of a folder, and print skipped files with reasons.

    For a corpus of several kinds, -o dns.jsonl writes dns-speech.jsonl, dns-noise.jsonl and so on.
    For L3DAS it writes a manifest of pairs, for data.train.pairs.

    Example:
        stillwave data scan DNS-Challenge/datasets --corpus dns2020 -o dns.jsonl
        stillwave data scan my/noise.csv --column source=original -o noise.jsonl
        stillwave data scan L3DAS23_Task1_train100 --corpus l3das23 -o train.jsonl

    """
    from stillwave.data.annotations import parse_columns
    from stillwave.data.corpora import find, scan_corpus
    from stillwave.data.manifest import write_manifest

    check_output_file(output)
    if find(corpus).KINDS == ("pairs",):
        _scan_pairs(corpus, folder, output, microphones, convention, not headers_only, jobs, as_json)
        return
    several = len(find(corpus).KINDS) > 1
    what = _kind(kind, folder, output) if corpus == "folders" else "speech"
    with library_noise_hidden():
        found = scan_corpus(
            corpus,
            folder,
            kind=what,
            pattern=speaker,
            columns=parse_columns(column or ()),
            decode=not headers_only,
            jobs=jobs,
        )
    written = {}
    for name, part in found.items():
        path = output.with_name(f"{output.stem}-{name}{output.suffix}") if several else output
        write_manifest(path, part.recordings, name)
        written[name] = path
    show(scan_report(found, written), as_json)


def _kind(kind: Kind | None, folder: Path, output: Path) -> Kind:
    """Return the kind of recordings: as given, by the name of the folder, or by asking. Raises ManifestError."""
    import sys

    from stillwave.console import err
    from stillwave.data.manifest import ManifestError, guess

    if not folder.exists():
        raise ManifestError(f"{folder}: no such folder or CSV file")
    found = kind or guess(folder, output)
    if found is None and sys.stdin.isatty() and sys.stderr.isatty():
        from rich.markup import escape
        from rich.prompt import Prompt

        question = f"Which kind of recordings does {escape(str(folder))} contain?"
        found = cast("Kind", Prompt.ask(question, console=err, choices=["speech", "noise", "rooms"]))
    if found is None:
        raise ManifestError(
            f"{folder}: contains speech, noise or room impulse responses? "
            "Add --kind speech, --kind noise or --kind rooms"
        )
    if kind is None:
        note(f"{folder}: scanned as {found}; use --kind to change that")
    return found


def _scan_pairs(
    corpus: str,
    folder: Path,
    output: Path,
    microphones: int,
    convention: Literal["acn_sn3d", "fuma"],
    decode: bool,
    jobs: int | None,
    as_json: bool,
) -> None:
    from stillwave.data.corpora import find
    from stillwave.data.pair_manifest import write_pair_manifest
    from stillwave.data.scenes.ambisonics import normalisation_fault

    found = find(corpus).scan_pairs(
        folder, microphones=microphones, convention=convention, decode=decode, jobs=jobs
    )
    write_pair_manifest(output, found.pairs)
    report: dict[str, Any] = {
        "pairs": {
            "manifest": str(output),
            "clips": len(found.pairs),
            "channels": found.pairs[0].channels,
            "hours": round(sum(pair.seconds or 0 for pair in found.pairs) / 3600, 3),
            "speakers": len({pair.speaker for pair in found.pairs if pair.speaker}),
            "with_text": sum(bool(pair.text) for pair in found.pairs),
            **({"w_to_dipoles": round(found.energy_ratio, 3)} if found.energy_ratio else {}),
        },
        **({"normalisation": fault} if (fault := normalisation_fault(found.energy_ratio or 1)) else {}),
        **left_out("left_out", found.skipped),
        **left_out("doubtful", found.doubtful),
    }
    show(report, as_json)
