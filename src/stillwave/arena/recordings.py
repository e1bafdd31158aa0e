"""The recordings of an arena: pairs with clean references, or noisy recordings alone."""

from __future__ import annotations

import csv
import math
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from stillwave.data.pair_sets import by_name, read_pairs
from stillwave.errors import StillwaveError
from stillwave.evaluation import NOISY, Item
from stillwave.evaluation.inputs import labels_of

COLUMNS = ("language", "noise_class", "reverberant")
"""Columns of `mixtures.csv` that scores are grouped by unless others are chosen."""
_PAIRED = ("mixtures.csv", "noisy", "clean_testset_wav", "labels")


def recordings(folder: Path) -> list[Item]:
    """Return the recordings of a folder, each with its noisy file as the system `noisy`.

    Args:
        folder: Pairs in any layout of `data.pair_sets.read_pairs`, or noisy recordings in any sub-folders.

    Raises:
        StillwaveError: The folder has no recordings, or recordings of several microphones.

    """
    if folder.is_dir() and not any((folder / name).exists() for name in _PAIRED):
        return [Item(name, None, {NOISY: file}) for name, file in sorted(by_name(folder).items())]
    pairs = read_pairs(folder)
    for pair in pairs:
        if pair.channels > 1:
            raise StillwaveError(
                f"{pair.noisy}: is a recording of {pair.channels} microphones; score it with `stillwave evaluate --on`"
            )
    return [
        Item(p.id, p.clean, {NOISY: p.noisy}, p.snr_db if math.isfinite(p.snr_db or 0) else None, text=p.text)
        for p in pairs
    ]


def with_outputs(items: Sequence[Item], system: str, found: Mapping[str, Path | str]) -> list[Item]:
    """Return the recordings with the file of a system, or the reason why it has none, by recording."""
    return [
        replace(item, estimates={**item.estimates, system: file})
        if isinstance(file := found[item.id], Path)
        else replace(item, problems={**item.problems, system: file})
        for item in items
    ]


def groups(folder: Path, columns: Sequence[str] | None) -> dict[str, dict[str, str]]:
    """Return labels of the recordings by column of `mixtures.csv`.

    By default of the columns of `COLUMNS` that it has; of a noise class the part before a slash.

    Raises StillwaveError for a column that it lacks.
    """
    labels = labels_of(folder, _known(folder) if columns is None else columns)
    if columns is None and "noise_class" in labels:  # music/tabla and music/piano are music
        labels["noise_class"] = {id_: c.partition("/")[0] for id_, c in labels["noise_class"].items()}
    return labels


def _known(folder: Path) -> list[str]:
    try:
        with (folder / "mixtures.csv").open(newline="", encoding="utf-8-sig") as handle:
            header = next(csv.reader(handle), [])
    except (OSError, UnicodeDecodeError, csv.Error):
        return []
    return [c for c in COLUMNS if c in header or (c == "reverberant" and "rir" in header)]
