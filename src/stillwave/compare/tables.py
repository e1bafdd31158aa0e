"""Results as tables: Markdown, LaTeX (booktabs), and for a terminal."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from stillwave.compare.formatting import COSTS, at_snr, costs, difference, ends, mean, p_value, share, star
from stillwave.compare.results import MethodRow, Results
from stillwave.compare.text_report import about, all_notes, how_to_read, verdicts
from stillwave.evaluation import METRICS
from stillwave.evaluation.tables import heading, number, table, tex

# --- Markdown ---------------------------------------------------------------------------------------------


def markdown(results: Results, pictures: Mapping[str, str] | None = None) -> str:
    """The whole report; `pictures` are file names by caption."""
    return "\n".join(_sections(results, pictures or {})) + "\n"


def _sections(results: Results, pictures: Mapping[str, str]) -> Iterator[str]:
    yield f"# Methods of distillation compared\n\n{about(results)}\n"
    yield from (f"- {line}" for line in verdicts(results))
    yield ""
    yield from (f"![{caption}]({name})\n" for caption, name in pictures.items())
    for student, rows in results.sections.items():
        size = f": student {student}" if len(results.sections) > 1 else ""
        yield f"## Scores and differences from the student alone{size}\n"
        yield from _main_table(rows, results.grid.metrics)
        yield f"\n## How much of the way to the teacher, how sure, and at what cost{size}\n"
        yield from _second_table(rows, results.grid.metrics)
        yield ""
    yield f"{how_to_read(results)}\n"
    yield from _snr_tables(results)
    notes = list(all_notes(results))
    if notes:
        yield "## Failed, missing, not scored\n"
        yield from (f"- {note}" for note in notes)


def _main_table(rows: tuple[MethodRow, ...], metrics: tuple[str, ...]) -> Iterator[str]:
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


def _second_table(rows: tuple[MethodRow, ...], metrics: tuple[str, ...]) -> Iterator[str]:
    names = [METRICS[m].name for m in metrics]
    header = ["system", *(t for n in names for t in (f"gap, {n}", f"p, {n}")), *COSTS]
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


def _change(row: MethodRow, metric: str) -> str:
    found = row.differences.get(metric)
    return "--" if found is None else f"${number(found.mean, metric, signed=True)}${star(row, metric)}"


def _small(row: MethodRow, metric: str) -> str:
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
            "", *(escape(heading(m)) for m in results.grid.metrics), "step", title=f"student {student}"
        )
        for column in shown.columns[1:]:
            column.justify = "right"
        for row in rows:
            cells = [
                mean(row.means[m], m) + (f"\n{difference(row, m)}" if row.differences[m] else "")
                for m in results.grid.metrics
            ]
            shown.add_row(escape(row.display), *map(escape, cells), costs(row)[1])
        console.print(shown)
    for line in (*verdicts(results), *all_notes(results)):
        console.print(f"• {escape(line)}")
