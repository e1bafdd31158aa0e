"""What a report says in sentences: what was compared, what may be concluded, how to read it, what is missing."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from stillwave.compare.formatting import star
from stillwave.compare.results import MethodRow, Results
from stillwave.evaluation import METRICS


def about(results: Results) -> str:
    """What was compared, in a sentence."""
    grid = results.grid
    train = grid.recipe.train
    seeds = f"{len(grid.seeds)} seed{'s' if len(grid.seeds) > 1 else ''}"
    return (
        f"{results.recordings} test recordings, {seeds} ({', '.join(map(str, grid.seeds))}), {train.steps} updates of "
        f"{train.batch_size * train.accumulate} × {grid.recipe.data.segment_seconds:g} s each; "
        f"teacher {grid.teacher[:12]}; test set {grid.test.sha256[:12]}."
    )


def verdicts(results: Results) -> Iterator[str]:
    """For each metric, what may be said after the correction, and no more."""
    rows = [(s, row) for s, found in results.sections.items() for row in found if row.is_method]
    for metric in results.grid.metrics:
        sure = {
            _called(s, row, results): METRICS[metric].gain(found.mean)
            for s, row in rows
            if (found := row.differences[metric]) is not None and star(row, metric)
        }
        ordered = sorted(sure, key=lambda name: -abs(sure[name]))
        better, worse = ([n for n in ordered if sign * sure[n] > 0] for sign in (1, -1))
        said = [f"better than the student alone: {', '.join(better)}"] if better else []
        said += [f"worse: {', '.join(worse)}"] if worse else []
        yield f"{METRICS[metric].name}: {'; '.join(said) or 'no method can be told from the student alone'}."
    if rows and len(results.grid.seeds) == 1:
        yield "There is one seed: another may turn every sign, so nothing of this is said of the methods yet."


def _called(student: str, row: MethodRow, results: Results) -> str:
    return f"{row.display} ({student})" if len(results.sections) > 1 else row.display


def how_to_read(results: Results) -> str:
    """What the figures are, and what they do not say."""
    several = len(results.grid.seeds) > 1
    over = "seeds and recordings, widened for the number of seeds" if several else "recordings"
    test = "of crossed random effects (seeds, recordings)" if several else "over recordings"
    scope = (
        "seeds and other recordings of this kind, not of"
        if several
        else "recordings of this kind, not of other seeds,"
    )
    cached = ", the teacher's pass being read from a cache where that had it" if _cached(results) else ""
    return (
        f"Intervals are 95 %, by bootstrap over {over}; differences are paired by seed and recording. "
        f"p: t test {test}, after Holm's correction over all methods and students of a metric; * is p < 0.05. "
        f"They speak of other {scope} another teacher, budget or training material. Gap: share of the distance from "
        "student alone to teacher that is closed, where the teacher is ahead. λ: weight of the method's loss. Step and "
        "memory: a training step's time against the student alone's and the process's peak beyond its, in the mean "
        f"over seeds, measured while other cells ran beside{cached}. "
        '"-style": reconstructed where the source could not be read or is silent.'
    )


def _cached(results: Results) -> bool:
    distill = results.grid.recipe.distill
    return distill is not None and distill.cache is not None


def all_notes(results: Results) -> Iterator[str]:
    """What is not in the means, and why; nothing of it is dropped in silence."""
    yield from (f"failed: {cell}: {reason}" for cell, reason in results.failed.items())
    if results.missing:
        some = ", ".join(results.missing[:6]) + (", …" if len(results.missing) > 6 else "")
        yield f"not run to the end: {len(results.missing)} cells ({some})"
    for student, rows in results.sections.items():
        for row in rows:
            name = row.display if not row.seeds else _called(student, row, results)
            yield from _unscored(name, row.unscored)
            if row.inverted:
                yield f"{name}: {row.inverted} estimates have inverted polarity"


def _unscored(name: str, unscored: Mapping[str, Mapping[str, int]]) -> Iterator[str]:
    for metric, reasons in unscored.items():
        for reason, count in reasons.items():
            yield f"{name}: {count} without {METRICS[metric].name}: {reason}"
