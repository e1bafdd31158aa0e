"""The HTML page of the report, with its figures embedded."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path

from stillwave.reports.html import data_url, write_page
from stillwave.schema import Recipe

FILE = "index.html"

_MEANING = {
    "Calibration weights": "How much each teacher layer counts for each student layer, frame by frame. White: equal "
    "weights; red: more; blue: less. For each student layer, the weights sum to 1.",
    "Similarities, time stream": "Similarity between the frames of the example in a layer: teacher, student, and "
    "their difference. Silent frames are 0.",
    "Similarities, batch stream": "Similarity of the example to the other examples of the batch at each frame.",
    "Similarities, frequency stream": "Similarity between frequency bands, averaged over the frames.",
    "During training": "From the snapshots of the run at its start and at each validation.",
}


@dataclass(frozen=True)
class Figure:
    """A PNG file beside the page, its section and its caption."""

    file: str
    section: str
    caption: str


def write(folder: Path, recipe: Recipe, step: int, note: str, figures: Sequence[Figure]) -> Path:
    """Write the page and return its path."""
    sections = [
        {"name": name, "explanation": _MEANING.get(name, ""), "figures": list(group)}
        for name, group in groupby(figures, key=lambda figure: figure.section)
    ]
    context = {
        "title": f"{recipe.name} at step {step}",
        "method": recipe.distill.method.name if recipe.distill else "",
        "note": note,
        "sections": sections,
    }
    filters = {"inline": lambda file: data_url(folder / file)}
    return write_page(folder / FILE, "stillwave.explain", context, filters)
