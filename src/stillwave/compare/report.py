"""What a comparison leaves in GRID/report: tables in every form that people paste, pictures, a page, all values."""

from __future__ import annotations

import csv
import io
import math
from collections.abc import Mapping
from dataclasses import fields, is_dataclass
from pathlib import Path
from typing import Any

from stillwave import provenance
from stillwave.compare import page, pictures, tables, text_report
from stillwave.compare.results import Results
from stillwave.files import write_json, write_text

FOLDER = "report"
COLUMNS = ("student", "method", "seed", "recording", "snr_db", "metric", "value", "reason")


def write(results: Results) -> Path:
    """Write the report; returns its folder. Each file appears whole."""
    folder = results.grid.folder / FOLDER
    write_text(folder / "scores.csv", scores_csv(results))
    write_json(folder / "results.json", plain(results))
    write_text(folder / "table.tex", tables.latex(results))
    drawn = _draw(results, folder)
    names = {caption: file.name for caption, file in drawn.items()}
    write_text(folder / "report.md", tables.markdown(results, names))
    write_text(folder / "index.html", page.render(results, drawn))
    return folder


def _draw(results: Results, folder: Path) -> dict[str, Path]:
    """The pictures, as PNG and SVG; returns the latter by caption."""
    sure = "Difference of each method from the student alone; in colour: p < 0.05, all comparisons counted"
    files = {sure: pictures.forest(results, folder / "forest")}
    for student in results.sections:
        caption = f"Difference from the student alone by SNR, student {student}; the five best are named"
        files[caption] = pictures.by_snr(results, student, folder / f"by-snr-{student}")
    return {caption: found[-1] for caption, found in files.items() if found}


def scores_csv(results: Results) -> str:
    """Long form: one line a system, seed, recording and metric; values are exact."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(COLUMNS)
    for line in results.lines:
        writer.writerow(["" if cell is None else cell for cell in line])
    return text.getvalue()


def plain(results: Results) -> dict[str, Any]:
    """Everything for JSON: exact, unscaled values; NaN and infinity become null."""
    found: dict[str, Any] = _plain(
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
    return found


def _plain(value: Any) -> Any:
    if is_dataclass(value) and not isinstance(value, type):
        return {field.name: _plain(getattr(value, field.name)) for field in fields(value)}
    if isinstance(value, Mapping):
        return {str(key): _plain(entry) for key, entry in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(entry) for entry in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value
