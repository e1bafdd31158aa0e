"""Public corpora by name: fields from their file names, and pairs of their test sets.

A corpus is a module with `KINDS`, `describe(path)` and `LAYOUT`, or, for a corpus of pairs, `scan_pairs(folder)`;
to add one, write the module and name it in `CORPORA`.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from types import ModuleType

from stillwave.data.corpora import dns2020, folders, l3das23, voicebank
from stillwave.data.manifest import Kind, ManifestError, Recording
from stillwave.data.scan import Scan, scan
from stillwave.errors import nearest
from stillwave.files import walk

CORPORA: dict[str, ModuleType] = {
    "folders": folders,
    "dns2020": dns2020,
    "voicebank": voicebank,
    "l3das22": l3das23,
    "l3das23": l3das23,
}


def find(name: str) -> ModuleType:
    """Return a corpus by name. Raises ManifestError, which names the nearest one."""
    if name not in CORPORA:
        raise ManifestError(f"unknown corpus '{name}'; {nearest(name, CORPORA)}")
    return CORPORA[name]


def scan_corpus(
    name: str,
    folder: Path | str,
    *,
    kind: Kind = "speech",
    pattern: str | None = None,
    columns: Mapping[str, str] | None = None,
    decode: bool = True,
    jobs: int | None = None,
) -> dict[Kind, Scan]:
    """Scan a corpus and return the result by kind (`speech`, `noise`, `rooms`); skipped files are in the first one.

    `kind` and `pattern` are for plain `folders`: their kind, and a regular expression whose first group matches the
    speaker in a path; `columns` is for a CSV file (`scan`). Raises ManifestError for an unknown name, another layout,
    or no recordings.
    """
    corpus = find(name)
    if corpus is l3das23:
        raise ManifestError(f"the corpus '{name}' has pairs, not separate speech and noise")
    folder = Path(folder)
    if corpus is folders:
        if folder.is_file():  # speakers come from the CSV file, not from folders
            return {kind: scan(folder, columns=columns, decode=decode, jobs=jobs)}
        describe = folders.speaker_from(pattern) if kind == "speech" else folders.describe_noise
        return {kind: scan(folder, describe, columns=columns, decode=decode, jobs=jobs)}
    if columns:
        raise ManifestError(f"the corpus '{name}' has no CSV file; leave the columns out")
    if pattern is not None:
        raise ManifestError(f"the corpus '{name}' has its own rule for speakers; leave the pattern out")
    if folder.is_dir() and not any(corpus.kind_of(path.relative_to(folder)) for path in walk(folder).files):
        raise ManifestError(f"{folder}: is not laid out as {name} is; expected {corpus.LAYOUT}")
    found = scan(folder, corpus.describe, decode=decode, jobs=jobs)
    kinds: dict[Kind, list[Recording]] = {kind: [] for kind in corpus.KINDS}
    for recording in found.recordings:
        kinds[corpus.kind_of(recording.path.relative_to(folder.absolute()))].append(recording)
    result = {kind: Scan(recordings, []) for kind, recordings in kinds.items() if recordings}
    first = next(iter(result))
    return {**result, first: result[first]._replace(skipped=found.skipped)}
