"""Compute the results of a grid: every row of the table, from the scores and facts of its cells."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from stillwave.compare import names
from stillwave.compare.grid import REFERENCES, Cell, Grid
from stillwave.compare.matrices import Key, System, gather, systems
from stillwave.evaluation import METRICS
from stillwave.evaluation.summary import snr_groups
from stillwave.files import read_json
from stillwave.stats.crossed import Array, Estimate, estimate, gap_closed, holm

SHOWN = {"noisy": "noisy input", "teacher": "teacher"}


@dataclass(frozen=True)
class Costs:
    """Training costs, means over seeds; also relative to the student alone, if known."""

    connectors: int | None = None
    step_seconds: float | None = None
    time_ratio: float | None = None
    memory_bytes: float | None = None
    extra_memory_bytes: float | None = None
    weight: float | None = None
    """The final λ."""


@dataclass(frozen=True)
class MethodRow:
    """One system. Differences are from the student alone of the same size, paired by seed and recording."""

    name: str
    display: str
    seeds: tuple[int, ...]
    means: Mapping[str, Estimate | None]
    differences: Mapping[str, Estimate | None]
    gaps: Mapping[str, float | None]
    """The share of the difference between student alone and teacher that is closed, by metric."""
    by_snr: Mapping[str, Mapping[str, tuple[float | None, Estimate | None]]]
    """Label → metric → mean and difference."""
    costs: Costs
    unscored: Mapping[str, Mapping[str, int]]
    """Metric → reason → number of missing values."""
    inverted: int = 0
    corrected: Mapping[str, float] = field(default_factory=dict)
    """The p value of the difference by metric, with Holm's correction over all methods and students."""

    @property
    def is_method(self) -> bool:
        """Whether it is a method, not a reference."""
        return is_method(self.name)


@dataclass(frozen=True)
class Results:
    """The content of a report."""

    grid: Grid
    recordings: int
    sections: Mapping[str, tuple[MethodRow, ...]]
    """By student: noisy, teacher, student alone, then the methods."""
    failed: Mapping[str, str]
    """Cell → reason."""
    missing: tuple[str, ...]
    """The unfinished cells."""
    done: int
    lines: tuple[tuple[Any, ...], ...]
    """Every score: student, method, seed, recording, SNR, metric, value, reason."""


def is_method(name: str) -> bool:
    """Return whether a row is a method, not a reference."""
    return name not in (*REFERENCES, names.NONE)


def collect(grid: Grid) -> Results:
    """Read the scores of a grid and compute the results. Raises StillwaveError for a damaged score file."""
    material = gather(grid)
    groups = {
        label: np.array([name in ids for name in material.recordings])
        for label, ids in snr_groups(material.snr_db).items()
    }
    sections = {}
    for student in grid.students:
        found = systems(grid, student, material)
        sections[student] = tuple(_row(grid, name, found, groups) for name in found)
    failed = {str(cell): reason for cell in grid.cells() if (reason := _reason(grid, cell))}
    return Results(
        grid=grid,
        recordings=len(material.recordings),
        sections=_corrected(grid, sections),
        failed=failed,
        missing=tuple(str(c) for c in grid.cells() if c not in material.files and str(c) not in failed),
        done=len(material.files),
        lines=tuple(
            (*_key(key), line.recording, line.snr_db, line.metric, line.value, line.reason)
            for key, found in material.table.items()
            for line in found
            if line.metric in grid.metrics
        ),
    )


def _key(key: Key) -> tuple[str, str, int | str]:
    return ("", key, "") if isinstance(key, str) else (key.student, key.method, key.seed)


def _reason(grid: Grid, cell: Cell) -> str:
    return str((read_json(cell.failure(grid.folder)) or {}).get("sentence", ""))


def _row(grid: Grid, name: str, systems: Mapping[str, System], groups: Mapping[str, Array]) -> MethodRow:
    system, alone, teacher = systems[name], systems.get(names.NONE), systems.get("teacher")
    paired = _paired(system, alone) if name != names.NONE else None
    differences = {m: estimate(paired[m]) if paired else None for m in grid.metrics}
    return MethodRow(
        name=name,
        display=SHOWN.get(name) or names.display(name, grid.methods[name]["method"]),
        seeds=system.seeds,
        means={m: estimate(system.values[m]) for m in grid.metrics},
        differences=differences,
        gaps={m: closed_gap(system, alone, teacher, m) if is_method(name) else None for m in grid.metrics},
        by_snr={
            label: {m: _at(system, paired, m, columns) for m in grid.metrics}
            for label, columns in groups.items()
        },
        costs=_costs(system, alone) if name not in REFERENCES else Costs(),
        unscored=system.unscored,
        inverted=sum(facts.get("inverted", 0) for facts in system.facts),
    )


def _paired(system: System, alone: System | None) -> dict[str, Array] | None:
    """Return differences `[S, U]` by metric, over the common seeds."""
    seeds = _common(system, alone)
    return {m: system.of(m, seeds) - alone.of(m, seeds) for m in alone.values} if alone and seeds else None


def _common(system: System, alone: System | None) -> list[int]:
    return [seed for seed in (alone.seeds if alone else ()) if not system.seeds or seed in system.seeds]


def closed_gap(system: System, alone: System | None, teacher: System | None, metric: str) -> float | None:
    """Return the fraction of the gap between student and teacher that a method closes; see `gap_closed`."""
    seeds = _common(system, alone)
    if not seeds or alone is None or teacher is None:
        return None
    sign = METRICS[metric].gain(1.0)
    return gap_closed(
        sign * system.of(metric, seeds), sign * alone.of(metric, seeds), sign * teacher.values[metric]
    )


def _at(
    system: System, paired: Mapping[str, Array] | None, metric: str, columns: Array
) -> tuple[float | None, Estimate | None]:
    values = system.values[metric][:, columns]
    mean = None if np.isnan(values).all() else float(np.nanmean(values))
    return mean, estimate(paired[metric][:, columns]) if paired else None


def _costs(system: System, alone: System | None) -> Costs:
    seconds, memory = _mean(system.facts, "step_seconds"), _mean(system.facts, "memory_bytes")
    base = alone.facts if alone else ()
    seconds_alone, memory_alone = _mean(base, "step_seconds"), _mean(base, "memory_bytes")
    return Costs(
        connectors=system.facts[0].get("connectors"),
        step_seconds=seconds,
        time_ratio=seconds / seconds_alone if seconds and seconds_alone else None,
        memory_bytes=memory,
        weight=_mean(system.facts, "lambda"),
        extra_memory_bytes=None if memory is None or memory_alone is None else memory - memory_alone,
    )


def _mean(facts: Sequence[Mapping[str, Any]], key: str) -> float | None:
    values = [float(value) for found in facts if (value := found.get(key)) is not None]
    return math.fsum(values) / len(values) if values else None


def _corrected(grid: Grid, sections: Mapping[str, tuple[MethodRow, ...]]) -> dict[str, tuple[MethodRow, ...]]:
    """Apply Holm's correction, for each metric over all methods of all students."""
    adjusted = {
        metric: holm(
            {
                (student, row.name): found.p
                for student, rows in sections.items()
                for row in rows
                if row.is_method and (found := row.differences[metric]) is not None
            }
        )
        for metric in grid.metrics
    }
    return {
        student: tuple(
            replace(
                row,
                corrected={
                    m: adjusted[m][student, row.name]
                    for m in grid.metrics
                    if (student, row.name) in adjusted[m]
                },
            )
            for row in rows
        )
        for student, rows in sections.items()
    }
