"""The comparison as one HTML file that contains its figures."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from stillwave.compare import row_text, text_report
from stillwave.compare.results import Results
from stillwave.reports import formatting
from stillwave.reports.html import data_url, write_page


def write(file: Path, results: Results, pictures: Mapping[str, Path]) -> None:
    """Write the page; `pictures` are image files by caption."""
    context = {
        "results": results,
        "metrics": results.grid.metrics,
        "text": formatting,
        "row_text": row_text,
        "about": text_report.about(results),
        "verdicts": list(text_report.verdicts(results)),
        "notes": list(text_report.all_notes(results)),
        "how_to_read": text_report.how_to_read(results),
        "pictures": {caption: data_url(picture) for caption, picture in pictures.items()},
    }
    write_page(file, "stillwave.compare", context)
