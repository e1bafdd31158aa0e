"""The report of a comparison in GRID/report: page, tables, figures and all values."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from stillwave import provenance
from stillwave.compare import pictures, tables, text_report
from stillwave.compare.results import Results
from stillwave.files import write_json, write_text
from stillwave.reports import formatting
from stillwave.reports.html import data_url, write_page
from stillwave.reports.markup import csv_table, json_values

FOLDER = "report"
COLUMNS = ("student", "method", "seed", "recording", "snr_db", "metric", "value", "reason")


def write(results: Results) -> Path:
    """Write the report and return its folder. Each file is written atomically."""
    folder = results.grid.folder / FOLDER
    write_text(folder / "scores.csv", csv_table(COLUMNS, results.lines))
    write_json(folder / "results.json", plain(results))
    write_text(folder / "table.tex", tables.latex(results))
    drawn = _draw(results, folder)
    names = {caption: file.name for caption, file in drawn.items()}
    write_text(folder / "report.md", tables.markdown(results, names))
    _write_page(folder / "index.html", results, drawn)
    return folder


def _draw(results: Results, folder: Path) -> dict[str, Path]:
    """Draw the figures as PNG and SVG; return the latter by caption."""
    forest = "Difference of each method from the student alone; coloured: p < 0.05 after correction"
    files = {forest: pictures.forest(results, folder / "forest")}
    for student in results.sections:
        caption = f"Difference from the student alone by SNR, student {student}; the five best are named"
        files[caption] = pictures.by_snr(results, student, folder / f"by-snr-{student}")
    return {caption: found[-1] for caption, found in files.items() if found}


def plain(results: Results) -> dict[str, Any]:
    """Return all results as JSON values, unscaled and exact; NaN and infinity become null."""
    values: dict[str, Any] = json_values(
        {
            "grid": results.grid.describe(),
            "versions": provenance.versions(),
            "machine": provenance.machine(),
            "recordings": results.recordings,
            "students": results.sections,
            "failed": results.failed,
            "missing": results.missing,
            "how_to_read": text_report.how_to_read(results),
        }
    )
    return values


def _write_page(file: Path, results: Results, pictures: Mapping[str, Path]) -> None:
    """Write one HTML file that contains the figures; `pictures` are image files by caption."""
    context = {
        "results": results,
        "metrics": results.grid.metrics,
        "text": formatting,
        "text_report": text_report,
        "about": text_report.about(results),
        "verdicts": list(text_report.verdicts(results)),
        "notes": list(text_report.all_notes(results)),
        "how_to_read": text_report.how_to_read(results),
        "pictures": {caption: data_url(picture) for caption, picture in pictures.items()},
    }
    write_page(file, "stillwave.compare", context)
