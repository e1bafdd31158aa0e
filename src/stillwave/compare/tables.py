"""The results of a comparison as tables: Markdown, LaTeX (booktabs), and for a terminal."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from stillwave.compare.results import MethodRow, Results
from stillwave.compare.text_report import (
    COSTS,
    about,
    all_notes,
    at_snr,
    costs,
    difference,
    how_to_read,
    star,
    verdicts,
)
from stillwave.evaluation import METRICS
from stillwave.reports.formatting import bounds, heading, mean, number, p_value, percent
from stillwave.reports.markup import escape_latex, latex_table, markdown_table


def markdown(results: Results, pictures: Mapping[str, str] | None = None) -> str:
    """Return the report as Markdown; `pictures` are file names by caption."""
    return "\n".join(_sections(results, pictures or {})) + "\n"


def _sections(results: Results, pictures: Mapping[str, str]) -> Iterator[str]:
    yield f"# Comparison of distillation methods\n\n{about(results)}\n"
    yield from (f"- {line}" for line in verdicts(results))
    yield ""
    yield from (f"![{caption}]({name})\n" for caption, name in pictures.items())
    for student, rows in results.sections.items():
        size = f": student {student}" if len(results.sections) > 1 else ""
        yield f"## Scores and differences from the student alone{size}\n"
        yield from _scores(rows, results.grid.metrics)
        yield f"\n## Gap to the teacher, significance and costs{size}\n"
        yield from _gaps_and_costs(rows, results.grid.metrics)
        yield ""
    yield f"{how_to_read(results)}\n"
    yield from _snr_tables(results)
    notes = list(all_notes(results))
    if notes:
        yield "## Failed cells, missing cells and missing scores\n"
        yield from (f"- {note}" for note in notes)


def _scores(rows: tuple[MethodRow, ...], metrics: tuple[str, ...]) -> Iterator[str]:
    header = ["system", *(text for m in metrics for text in (heading(m), f"Δ {METRICS[m].name}")), "seeds"]
    yield from markdown_table(
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


def _gaps_and_costs(rows: tuple[MethodRow, ...], metrics: tuple[str, ...]) -> Iterator[str]:
    names = [METRICS[m].name for m in metrics]
    header = ["system", *(t for n in names for t in (f"gap, {n}", f"p, {n}")), *COSTS]
    cells = [
        [
            row.display,
            *(t for m in metrics for t in (percent(row.gaps[m]), p_value(row.corrected.get(m)))),
            *costs(row),
        ]
        for row in rows
        if row.seeds
    ]
    yield from markdown_table(header, cells)


def _snr_tables(results: Results) -> Iterator[str]:
    for student, rows in results.sections.items():
        for metric in results.grid.metrics:
            labels = list(rows[0].by_snr) if rows else []
            if not labels:
                return
            size = f", student {student}" if len(results.sections) > 1 else ""
            yield f"## {heading(metric)} by SNR{size}\n"
            yield from markdown_table(
                ["system", *labels],
                [[row.display, *(at_snr(row, label, metric) for label in labels)] for row in rows],
            )
            yield ""


def latex(results: Results) -> str:
    """Return means and differences as booktabs tables, one for each student; intervals in small type below."""
    return "\n".join(_latex(results, student) for student in results.sections)


def _latex(results: Results, student: str) -> str:
    metrics = results.grid.metrics
    header = ["System", *(text for m in metrics for text in (escape_latex(heading(m)), r"$\Delta$"))]
    rows = []
    for row in results.sections[student]:
        cells = [
            text for m in metrics for text in (mean(row.means[m], m).replace("–", "--"), _change(row, m))
        ]
        rows.append([escape_latex(row.display), *cells])
        intervals = [bounds(row.differences.get(m), m, signed=True) for m in metrics]
        if any(intervals):
            small = (rf"{{\scriptsize ${text}$}}" if text else "" for text in intervals)
            rows.append(["", *(text for interval in small for text in ("", interval))])
    lines = latex_table("l" + "rr" * len(metrics), header, rows)
    return "\n".join([f"% student {student}; stars: p < 0.05 after Holm's correction", *lines]) + "\n"


def _change(row: MethodRow, metric: str) -> str:
    found = row.differences.get(metric)
    return "--" if found is None else f"${number(found.mean, metric, signed=True)}${star(row, metric)}"


def terminal(results: Results) -> None:
    """Print scores, differences, conclusions and notes for a terminal, on stdout."""
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
