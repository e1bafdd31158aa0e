"""The HTML page of the report, with its figures embedded."""

from __future__ import annotations

import base64
from collections.abc import Sequence
from dataclasses import dataclass
from html import escape
from itertools import groupby
from pathlib import Path

from stillwave.files import write_text
from stillwave.schema import Recipe

FILE = "index.html"

_STYLE = """
:root { color-scheme: light dark; --back: #f7f8fa; --text: #1b2027; --soft: #5b6470; }
@media (prefers-color-scheme: dark) { :root { --back: #0f1216; --text: #e8ebef; --soft: #9aa4b1; } }
body { margin: 0; background: var(--back); color: var(--text); font: 16px/1.55 system-ui, sans-serif; }
main { max-width: 1080px; margin: 0 auto; padding: 2rem 1.25rem 4rem; }
h1 { line-height: 1.2; } h2 { margin-top: 2.5rem; }
p, figcaption { color: var(--soft); max-width: 52rem; }
figure { margin: 1rem 0 2rem; } img { max-width: 100%; }
"""

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
    method = recipe.distill.method.name if recipe.distill else ""
    title = f"{recipe.name} at step {step}"
    parts = [
        f"<p>Method {escape(method)}; a fixed batch of development recordings; the first is shown.</p>",
        f"<p>{escape(note)}</p>" if note else "",
    ]
    for section, group in groupby(figures, key=lambda figure: figure.section):
        parts += [f"<h2>{escape(section)}</h2>", f"<p>{escape(_MEANING.get(section, ''))}</p>"]
        parts += [_html(folder, figure) for figure in group]
    text = (
        f'<!doctype html>\n<html lang="en"><head><meta charset="utf-8"><title>{escape(title)}</title>'
        f'<meta name="viewport" content="width=device-width, initial-scale=1"><style>{_STYLE}</style></head>\n'
        f"<body><main><h1>{escape(title)}</h1>\n" + "\n".join(parts) + "\n</main></body></html>\n"
    )
    write_text(folder / FILE, text)
    return folder / FILE


def _html(folder: Path, figure: Figure) -> str:
    data = base64.b64encode((folder / figure.file).read_bytes()).decode("ascii")
    caption = escape(figure.caption)
    image = f'<img alt="{caption}" src="data:image/png;base64,{data}">'
    return f"<figure>{image}<figcaption>{caption}</figcaption></figure>"
