"""Tables as Markdown, LaTeX (booktabs) and CSV; values as JSON."""

from __future__ import annotations

import csv
import io
import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import fields, is_dataclass
from typing import Any


def markdown_table(header: Sequence[str], rows: Iterable[Sequence[str]]) -> Iterator[str]:
    """Yield the lines of a table; bars in cells are escaped."""
    for line in (header, ["---"] * len(header), *rows):
        yield "| " + " | ".join(cell.replace("|", "\\|") for cell in line) + " |"


def latex_table(columns: str, header: Sequence[str], rows: Iterable[Sequence[str]]) -> list[str]:
    """Return the lines of a booktabs table. Cells are LaTeX: escape text with `escape_latex`."""
    lines = [rf"\begin{{tabular}}{{{columns}}}", r"\toprule", _latex_row(header), r"\midrule"]
    return [*lines, *map(_latex_row, rows), r"\bottomrule", r"\end{tabular}"]


def _latex_row(cells: Sequence[str]) -> str:
    return " & ".join(cells) + r" \\"


def escape_latex(text: str) -> str:
    """Escape the characters that are commands in LaTeX."""
    special = {c: rf"\{c}" for c in "&%$#_{}"} | {"~": r"\textasciitilde{}", "^": r"\textasciicircum{}"}
    special |= {"\\": r"\textbackslash{}", "×": r"$\times$", "↓": r"$\downarrow$"}
    return "".join(special.get(character, character) for character in text)


def csv_table(header: Sequence[str], rows: Iterable[Sequence[Any]]) -> str:
    """Return a CSV file; None becomes an empty cell, floats are exact."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(header)
    writer.writerows(rows)
    return text.getvalue()


def json_values(value: Any) -> Any:
    """Return dataclasses, mappings and sequences as JSON values; NaN and infinity become null."""
    if is_dataclass(value) and not isinstance(value, type):
        return {field.name: json_values(getattr(value, field.name)) for field in fields(value)}
    if isinstance(value, Mapping):
        return {str(key): json_values(entry) for key, entry in value.items()}
    if isinstance(value, (list, tuple)):
        return [json_values(entry) for entry in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value
