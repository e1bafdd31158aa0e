"""Read CSV files with speaker, text, class and licence of recordings."""

from __future__ import annotations

import csv
import os
from collections.abc import Iterable, Mapping
from pathlib import Path

from stillwave.data.manifest import ManifestError
from stillwave.errors import nearest

_COLUMNS = {
    "path": ("file", "path", "filename", "file_name", "wav"),
    "speaker": ("speaker", "speaker_id", "spk"),
    "text": ("text", "transcript", "sentence"),
    "label": ("class", "label", "category"),
    "licence": ("licence", "license"),
}
"""Field of a recording → usual names of its column."""

FIELDS = (*_COLUMNS, "source")
"""Fields with a column. That of `source` must be named: in some tables it is the corpus."""

Annotations = dict[Path, dict[str, str]]
"""Absolute path of a recording → its known fields."""


def read_annotations(path: Path, named: Mapping[str, str] | None = None) -> Annotations:
    """Read the rows of a CSV file with a header; paths are relative to its folder.

    `named` gives the columns of some fields (`FIELDS`); those of the others are found by their usual names.
    Raises ManifestError if it cannot be read, a named column is missing, or no column has the files.
    """
    try:
        with path.open(newline="", encoding="utf-8-sig") as handle:
            rows = csv.DictReader(handle)
            columns = {**_match(rows.fieldnames or ()), **_named(path, rows.fieldnames or (), named or {})}
            if "path" not in columns:
                known = ", ".join(rows.fieldnames or ()) or "none"
                raise ManifestError(f"{path}: no column 'file'; its columns: {known}")
            return dict(_row(row, columns, path.absolute().parent) for row in rows if row[columns["path"]])
    except OSError as error:
        raise ManifestError(f"{path}: cannot be read: {error.strerror or error}") from None
    except (UnicodeDecodeError, csv.Error):
        raise ManifestError(f"{path}: is not a CSV file in UTF-8") from None


def parse_columns(texts: Iterable[str]) -> dict[str, str]:
    """Parse texts of the form FIELD=COLUMN to field → column. Raises ManifestError.

    Examples:
        >>> parse_columns(["source=original"])
        {'source': 'original'}

    """
    pairs = [item.partition("=") for item in texts]
    for field, equals, name in pairs:
        if not (field and equals and name):
            raise ManifestError(f"--column {field}: write FIELD=COLUMN, as in --column source=original")
    return {field: name for field, _, name in pairs}


def find_annotations(folder: Path) -> Annotations:
    """Read the CSV files in `folder`, and one of its name beside it (`speech.csv` of `speech/`)."""
    folder = folder.absolute()
    found: Annotations = {}
    for file in [*sorted(folder.glob("*.csv")), folder.with_name(folder.name + ".csv")]:
        if file.is_file():
            try:
                found.update(read_annotations(file))
            except ManifestError:
                continue  # another table: the recordings are scanned anyway
    return {path: fields for path, fields in found.items() if path.is_relative_to(folder)}


def _match(names: object) -> dict[str, str]:
    by_name = {str(name).strip().lower(): str(name) for name in names}  # type: ignore[attr-defined]
    return {
        field: next(by_name[alias] for alias in aliases if alias in by_name)
        for field, aliases in _COLUMNS.items()
        if any(alias in by_name for alias in aliases)
    }


def _named(path: Path, header: Iterable[str], named: Mapping[str, str]) -> dict[str, str]:
    header = list(header)
    for field, column in named.items():
        if field not in FIELDS:
            raise ManifestError(f"a recording has no field '{field}'; {nearest(field, FIELDS)}")
        if column not in header:
            raise ManifestError(f"{path}: has no column '{column}'; {nearest(column, header)}")
    return dict(named)


def _row(row: Mapping[str, str | None], columns: dict[str, str], folder: Path) -> tuple[Path, dict[str, str]]:
    fields = {field: (row[column] or "").strip() for field, column in columns.items()}
    return Path(os.path.normpath(folder / fields.pop("path"))), fields
