"""The sentences of a comparison's report: setting, conclusions, explanations and notes."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping

from stillwave.compare.results import MethodRow, Results
from stillwave.evaluation import METRICS
from stillwave.reports.formatting import NO_VALUE, number, with_interval

ALPHA = 0.05
COSTS = ("λ", "step", "memory", "connectors")


def difference(row: MethodRow, metric: str) -> str:
    """Return e.g. `+0.031 [+0.010, +0.052]*`; the star is for p < 0.05 after correction."""
    return with_interval(row.differences.get(metric), metric, signed=True) + star(row, metric)


def star(row: MethodRow, metric: str) -> str:
    """Return a star for a difference that is statistically significant after correction."""
    return "*" if row.corrected.get(metric, math.nan) < ALPHA else ""


def costs(row: MethodRow) -> tuple[str, ...]:
    """Return the values of `COSTS`: λ, step time and memory relative to the student alone, connectors."""
    c = row.costs
    return (
        NO_VALUE if c.weight is None else f"{c.weight:.3g}",
        NO_VALUE if c.time_ratio is None else f"×{c.time_ratio:.2f}",
        NO_VALUE if c.extra_memory_bytes is None else f"{c.extra_memory_bytes / 2**20:+.0f} MiB",
        NO_VALUE if c.connectors is None else f"{c.connectors:,}",
    )


def at_snr(row: MethodRow, label: str, metric: str) -> str:
    """Return the mean of a reference, and the difference of a method."""
    value, change = row.by_snr[label][metric]
    if row.is_method:
        return with_interval(change, metric, signed=True)
    return NO_VALUE if value is None else number(value, metric)


def about(results: Results) -> str:
    """Return what was compared, in one sentence."""
    grid = results.grid
    train = grid.recipe.train
    seeds = f"{len(grid.seeds)} seed{'s' if len(grid.seeds) > 1 else ''}"
    return (
        f"{results.recordings} test recordings, {seeds} ({', '.join(map(str, grid.seeds))}), {train.steps} updates of "
        f"{train.batch_size * train.accumulate} × {grid.recipe.data.segment_seconds:g} s each; "
        f"teacher {grid.teacher[:12]}; test set {grid.test.sha256[:12]}."
    )


def verdicts(results: Results) -> Iterator[str]:
    """Yield for each metric which methods differ significantly from the student alone."""
    rows = [(s, row) for s, found in results.sections.items() for row in found if row.is_method]
    for metric in results.grid.metrics:
        gains = {
            _name(s, row, results): METRICS[metric].gain(found.mean)
            for s, row in rows
            if (found := row.differences[metric]) is not None and star(row, metric)
        }
        ordered = sorted(gains, key=lambda name: -abs(gains[name]))
        better, worse = ([n for n in ordered if sign * gains[n] > 0] for sign in (1, -1))
        parts = [f"better than the student alone: {', '.join(better)}"] if better else []
        parts += [f"worse: {', '.join(worse)}"] if worse else []
        yield f"{METRICS[metric].name}: {'; '.join(parts) or 'no significant difference from the student alone'}."
    if rows and len(results.grid.seeds) == 1:
        yield "There is only one seed: another may change every sign, so no method can be recommended."


def _name(student: str, row: MethodRow, results: Results) -> str:
    return f"{row.display} ({student})" if len(results.sections) > 1 else row.display


def how_to_read(results: Results) -> str:
    """Return how the numbers are computed and what they do not cover."""
    several = len(results.grid.seeds) > 1
    over = "seeds and recordings, widened for the number of seeds" if several else "recordings"
    test = "of crossed random effects (seeds, recordings)" if several else "over recordings"
    scope = (
        "other seeds and other recordings of this kind, but not to"
        if several
        else "other recordings of this kind, but not to other seeds,"
    )
    cached = "; the teacher's outputs were read from a cache where available" if _cached(results) else ""
    return (
        f"Intervals are 95 %, by bootstrap over {over}; differences are paired by seed and recording. "
        f"p: t test {test}, with Holm's correction over all methods and students of a metric; * is p < 0.05. "
        f"The results generalise to {scope} another teacher, budget or training data. Gap: share of the difference "
        "between student alone and teacher that is closed, if the teacher is better. λ: weight of the distillation "
        "loss. Step and memory: time of a training step and peak memory of the process, relative to the student "
        f"alone, means over seeds, measured while other cells were running{cached}. "
        '"-style": reconstructed where the source was not available or is not specific.'
    )


def _cached(results: Results) -> bool:
    distill = results.grid.recipe.distill
    return distill is not None and distill.cache is not None


def all_notes(results: Results) -> Iterator[str]:
    """Yield what is not in the means, with reasons."""
    yield from (f"failed: {cell}: {reason}" for cell, reason in results.failed.items())
    if results.missing:
        some = ", ".join(results.missing[:6]) + (", …" if len(results.missing) > 6 else "")
        yield f"not finished: {len(results.missing)} cells ({some})"
    for student, rows in results.sections.items():
        for row in rows:
            name = row.display if not row.seeds else _name(student, row, results)
            yield from _unscored(name, row.unscored)
            if row.inverted:
                yield f"{name}: {row.inverted} estimates have inverted polarity"


def _unscored(name: str, unscored: Mapping[str, Mapping[str, int]]) -> Iterator[str]:
    for metric, reasons in unscored.items():
        for reason, count in reasons.items():
            yield f"{name}: {count} without {METRICS[metric].name}: {reason}"
