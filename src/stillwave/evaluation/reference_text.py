"""Known texts of the references."""

from __future__ import annotations

import csv
from collections.abc import Mapping
from pathlib import Path

from stillwave.errors import StillwaveError


def texts_of(folder: Path, references: Mapping[str, Path]) -> dict[str, str]:
    """Return the text by name of the references (name → file) that have one.

    Texts are read from NAME.txt beside the reference, or from the column `text` of mixtures.csv in the folder or its
    parent. Raises StillwaveError for a file that cannot be read.
    """
    table = _table(folder) if references else {}
    found = {name: _beside(file) or table.get(name, "") for name, file in references.items()}
    return {name: text for name, text in found.items() if text}


def _beside(reference: Path) -> str:
    file = reference.with_suffix(".txt")
    if not file.is_file():
        return ""
    try:
        return file.read_text(encoding="utf-8-sig").strip()
    except (OSError, UnicodeDecodeError) as error:
        raise StillwaveError(f"{file}: cannot be read as a UTF-8 text ({error})") from None


def _table(folder: Path) -> dict[str, str]:
    file = next((f for place in (folder, folder.parent) if (f := place / "mixtures.csv").is_file()), None)
    if file is None:
        return {}
    try:
        with file.open(newline="", encoding="utf-8-sig") as handle:
            return {row.get("id") or "": (row.get("text") or "").strip() for row in csv.DictReader(handle)}
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise StillwaveError(f"{file}: cannot be read as a CSV file ({error})") from None
