"""Results as tables: cells as text, Markdown, and LaTeX (booktabs). Values are scaled and rounded as METRICS says."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping

from stillwave.compare.results import Results, Row
from stillwave.compare.statistics import Estimate
from stillwave.evaluate import METRICS
from stillwave.evaluate.tables import heading, number, table, tex

ALPHA = 0.05


def mean(found: Estimate | None, metric: str) -> str:
    """`1.234`, or a dash."""
    return "–" if found is None else number(found.mean, metric)


def difference(row: Row, metric: str) -> str:
    """`+0.031 [+0.010, +0.052]*`: the star is for p < 0.05 after correction."""
    found = row.differences.get(metric)
    if found is None:
        return "–"
    return f"{number(found.mean, metric, signed=True)}{_spaced(ends(found, metric))}{star(row, metric)}"


def ends(found: Estimate, metric: str, *, signed: bool = True) -> str:
    """`[+0.010, +0.052]`; nothing where one value is all there is."""
    if math.isnan(found.low):
        return ""
    low, high = (number(end, metric, signed=signed) for end in (found.low, found.high))
    return f"[{low}, {high}]"


def star(row: Row, metric: str) -> str:
    """A mark for a difference that is unlikely to be chance, all comparisons counted."""
    return "*" if row.corrected.get(metric, math.nan) < ALPHA else ""


def p_value(p: float | None) -> str:
    """As people write it.

    Examples:
        >>> p_value(0.0321), p_value(1e-6), p_value(None)
        ('0.032', '< 0.001', '–')

    """
    if p is None or math.isnan(p):
        return "–"
    return "< 0.001" if p < 0.001 else f"{p:.3f}"


def share(value: float | None) -> str:
    """A share as a percentage, or a dash."""
    return "–" if value is None else f"{100 * value:.0f} %"


def costs(row: Row) -> tuple[str, str, str]:
    """Time of a step against the student alone's, memory beyond its, connectors."""
    c = row.costs
    time = "–" if c.time_ratio is None else f"×{c.time_ratio:.2f}"
    memory = "–" if c.extra_memory_bytes is None else f"{c.extra_memory_bytes / 2**20:+.0f} MiB"
    return time, memory, "–" if c.connectors is None else f"{c.connectors:,}"


def _spaced(text: str) -> str:
    return f" {text}" if text else ""


# --- Markdown ---------------------------------------------------------------------------------------------


def markdown(results: Results) -> str:
    """The whole report."""
    return "\n".join(_sections(results)) + "\n"


def _sections(results: Results) -> Iterator[str]:
    yield "# Methods of distillation compared\n"
    yield " ".join([about(results), *verdicts(results)]) + "\n"
    for student, rows in results.sections.items():
        size = f": student {student}" if len(results.sections) > 1 else ""
        yield f"## Scores and differences from the student alone{size}\n"
        yield from _main_table(rows, results.grid.metrics)
        yield f"\n## How much of the way to the teacher, how sure, and at what cost{size}\n"
        yield from _second_table(rows, results.grid.metrics)
        yield ""
    yield f"{HOW_TO_READ}\n"
    yield from _snr_tables(results)
    notes = list(all_notes(results))
    if notes:
        yield "## Failed, missing, not scored\n"
        yield from (f"- {note}" for note in notes)


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
        sure = [(s, row) for s, row in rows if star(row, metric)]
        better = [
            _called(s, row, results) for s, row in sure if (d := row.differences[metric]) and d.mean > 0
        ]
        worse = [_called(s, row, results) for s, row in sure if (d := row.differences[metric]) and d.mean < 0]
        said = [f"better than the student alone: {', '.join(better)}"] if better else []
        said += [f"worse: {', '.join(worse)}"] if worse else []
        yield f"{METRICS[metric].name}: {'; '.join(said) or 'no method can be told from the student alone'}."


def _called(student: str, row: Row, results: Results) -> str:
    return f"{row.display} ({student})" if len(results.sections) > 1 else row.display


HOW_TO_READ = (
    "Intervals are 95 %, by bootstrap over seeds and recordings, widened for the number of seeds; differences are "
    "paired by seed and recording. p: t test of crossed random effects (seeds, recordings), after Holm's correction "
    "over all methods and students of a metric; * is p < 0.05. They speak of other seeds and other recordings of this "
    "kind, not of another teacher, budget or training material. Gap: share of the distance from student alone to "
    "teacher that is closed. Time and memory of a training step are in the mean over seeds, measured while other "
    'cells ran beside. "-style": reconstructed where the source could not be read or is silent.'
)


def _main_table(rows: tuple[Row, ...], metrics: tuple[str, ...]) -> Iterator[str]:
    header = ["system", *(text for m in metrics for text in (heading(m), f"Δ {METRICS[m].name}")), "seeds"]
    yield from table(
        header,
        [
            [
                row.display,
                *(text for m in metrics for text in (mean(row.means[m], m), difference(row, m))),
                str(len(row.seeds)) if row.seeds else "–",
            ]
            for row in rows
        ],
    )


def _second_table(rows: tuple[Row, ...], metrics: tuple[str, ...]) -> Iterator[str]:
    names = [METRICS[m].name for m in metrics]
    header = ["system", *(t for n in names for t in (f"gap, {n}", f"p, {n}")), "time", "memory", "connectors"]
    cells = [
        [
            row.display,
            *(t for m in metrics for t in (share(row.gaps[m]), p_value(row.corrected.get(m)))),
            *costs(row),
        ]
        for row in rows
        if row.seeds
    ]
    yield from table(header, cells)


def _snr_tables(results: Results) -> Iterator[str]:
    for student, rows in results.sections.items():
        for metric in results.grid.metrics:
            labels = list(rows[0].by_snr) if rows else []
            if not labels:
                return
            size = f", student {student}" if len(results.sections) > 1 else ""
            yield f"## {heading(metric)} by SNR{size}\n"
            yield from table(
                ["system", *labels],
                [[row.display, *(at_snr(row, label, metric) for label in labels)] for row in rows],
            )
            yield ""


def at_snr(row: Row, label: str, metric: str) -> str:
    """The mean for references, the difference for methods."""
    value, change = row.by_snr[label][metric]
    if not row.is_method:
        return "–" if value is None else number(value, metric)
    if change is None:
        return "–"
    return f"{number(change.mean, metric, signed=True)}{_spaced(ends(change, metric))}"


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


# --- LaTeX ------------------------------------------------------------------------------------------------


def latex(results: Results) -> str:
    """Means and differences as booktabs tables, one a student size; intervals in a second line of small type."""
    return "\n".join(_tabular(results, student) for student in results.sections)


def _tabular(results: Results, student: str) -> str:
    metrics = results.grid.metrics
    names = [f"{heading(m)} & $\\Delta$" for m in metrics]
    lines = [
        f"% student {student}; stars: p < 0.05 after Holm's correction",
        r"\begin{tabular}{l" + "rr" * len(metrics) + "}",
        r"\toprule",
        " & ".join(["System", *(tex_keep(n) for n in names)]) + r" \\",
        r"\midrule",
    ]
    for row in results.sections[student]:
        cells = [
            text for m in metrics for text in (mean(row.means[m], m).replace("–", "--"), _change(row, m))
        ]
        lines.append(" & ".join([tex(row.display), *cells]) + r" \\")
        small = [_small(row, m) for m in metrics]
        if any(small):
            lines.append(" & ".join(["", *(text for end in small for text in ("", end))]) + r" \\")
    return "\n".join([*lines, r"\bottomrule", r"\end{tabular}"]) + "\n"


def tex_keep(name: str) -> str:
    """Escape the metric's name, and leave the column of differences as it is."""
    metric, _, rest = name.rpartition(" & ")
    return f"{tex(metric)} & {rest}"


def _change(row: Row, metric: str) -> str:
    found = row.differences.get(metric)
    return "--" if found is None else f"${number(found.mean, metric, signed=True)}${star(row, metric)}"


def _small(row: Row, metric: str) -> str:
    found = row.differences.get(metric)
    text = ends(found, metric) if found else ""
    return rf"{{\scriptsize ${text}$}}" if text else ""


# --- terminal ---------------------------------------------------------------------------------------------


def terminal(results: Results) -> None:
    """The main table for people, on stdout."""
    from rich.console import Console
    from rich.markup import escape
    from rich.table import Table

    console = Console(highlight=False)
    for student, rows in results.sections.items():
        shown = Table(
            "", *(escape(heading(m)) for m in results.grid.metrics), "time", title=f"student {student}"
        )
        for column in shown.columns[1:]:
            column.justify = "right"
        for row in rows:
            cells = [
                mean(row.means[m], m) + (f"\n{difference(row, m)}" if row.differences[m] else "")
                for m in results.grid.metrics
            ]
            shown.add_row(escape(row.display), *map(escape, cells), costs(row)[0])
        console.print(shown)
    for line in (*verdicts(results), *all_notes(results)):
        console.print(f"• {escape(line)}")
