"""The scores of the finished cells as matrices, seed × recording."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from stillwave.compare import scores
from stillwave.compare.grid import REFERENCES, Cell, Grid
from stillwave.compare.work import SCORES, read_facts
from stillwave.stats.crossed import Array

Key = Cell | str
"""A cell, or the name of a reference."""


@dataclass(frozen=True)
class System:
    """One method or reference: scores by metric, `[S, U]`, NaN for missing values."""

    seeds: tuple[int, ...]
    """The seeds of the rows; a reference has one row and no seed."""
    values: Mapping[str, Array]
    facts: tuple[dict[str, Any], ...]
    unscored: Mapping[str, Mapping[str, int]]

    def of(self, metric: str, seeds: Sequence[int]) -> Array:
        """Return the rows of some seeds, in that order; of a reference its only row."""
        if not self.seeds:
            return self.values[metric]
        return self.values[metric][[self.seeds.index(seed) for seed in seeds]]


@dataclass(frozen=True)
class ScoreMatrices:
    """All scores of a grid."""

    files: Mapping[Key, Path]
    table: Mapping[Key, list[scores.ScoreRecord]]
    recordings: tuple[str, ...]
    snr_db: Mapping[str, float | None]


def gather(grid: Grid) -> ScoreMatrices:
    """Read all scores. Raises StillwaveError for a damaged file."""
    files = _files(grid)
    table = {key: scores.read(folder / SCORES) for key, folder in files.items()}
    snr_db = {line.recording: line.snr_db for found in table.values() for line in found}
    return ScoreMatrices(files, table, tuple(snr_db), snr_db)


def _files(grid: Grid) -> dict[Key, Path]:
    """Return the folders whose scores are of the finished run on this test set."""
    folders: dict[Key, Path] = {name: grid.folder / "references" / name for name in REFERENCES}
    folders |= {cell: cell.folder(grid.folder) for cell in grid.cells()}
    return {key: folder for key, folder in folders.items() if _usable(grid, folder)}


def _usable(grid: Grid, folder: Path) -> bool:
    facts = read_facts(folder)
    scored = facts.get("scored") or {}
    return (
        scored.get("test") == grid.test.sha256
        and scored.get("checkpoint") == facts.get("checkpoint")
        and (folder / SCORES).exists()
    )


def systems(grid: Grid, student: str, material: ScoreMatrices) -> dict[str, System]:
    """Return the systems of one student with finished cells, in the order of the table."""
    keys: dict[str, list[Key]] = {name: [name] for name in REFERENCES if name in material.files}
    for method in grid.methods:
        done = [cell for seed in grid.seeds if (cell := Cell(student, method, seed)) in material.files]
        if done:
            keys[method] = list(done)
    place = {name: index for index, name in enumerate(material.recordings)}
    return {
        name: System(
            seeds=tuple(key.seed for key in found if isinstance(key, Cell)),
            values=_matrices(grid, [material.table[key] for key in found], place),
            facts=tuple(_facts(material.files[key]) for key in found),
            unscored=_reasons(grid, [material.table[key] for key in found]),
        )
        for name, found in keys.items()
    }


def _facts(folder: Path) -> dict[str, Any]:
    """Return the facts of a cell, with λ from its log if an earlier version did not record it."""
    facts = read_facts(folder)
    if facts.get("trained") and "lambda" not in facts:
        from stillwave.compare.costs import last_weight
        from stillwave.training.run_log import read

        facts["lambda"] = last_weight(read(folder))
    return facts


def _matrices(
    grid: Grid, found: list[list[scores.ScoreRecord]], place: Mapping[str, int]
) -> dict[str, Array]:
    values = {metric: np.full((len(found), len(place)), np.nan) for metric in grid.metrics}
    for row, lines in enumerate(found):
        for line in lines:
            if line.metric in values and line.value is not None:
                values[line.metric][row, place[line.recording]] = line.value
    return values


def _reasons(grid: Grid, found: list[list[scores.ScoreRecord]]) -> dict[str, dict[str, int]]:
    counts: dict[str, Counter[str]] = {}
    for lines in found:
        for line in lines:
            if line.value is None and line.metric in grid.metrics:
                counts.setdefault(line.metric, Counter())[line.reason or "no reason was given"] += 1
    return {metric: dict(counter.most_common()) for metric, counter in counts.items()}
