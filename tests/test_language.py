"""Words that the glossary rules out do not occur in the source and the documentation."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
FILES = [
    path
    for pattern in ("README.md", "docs/**/*.md", "src/**/*.py", "src/**/*.yaml")
    for path in sorted(ROOT.glob(pattern))
    if path.name != "glossary.md"
]
WORDS = re.compile(
    r"\b("
    r"hears?|heard|overheard|sittings?|aloud|anew|beforehand"
    r"|passed over|whole road|on (?:its|their) way|goes on|go on where|gone on with"
    r"|(?:it|they|networks?) makes? of it|no more than chance|may be chance|stands? beside|who wants"
    r"|is told|are told|not told|was told|tells? apart|gives? up|lets? down|looks? behind|pulls? at"
    r"|(?:networks?|models?|students?|teachers?|methods?|layers?|files?|programs?|headers?) (?:knows?|says?|sees?)"
    r")\b",
    re.IGNORECASE,
)
"""Personified networks and files, and private words; docs/glossary.md has the terms to use instead."""


def found(path: Path) -> list[str]:
    """Return the words in a file, with their lines."""
    lines = path.read_text(encoding="utf-8").splitlines()
    return [
        f"{path.relative_to(ROOT)}:{number}: {match[0]}"
        for number, line in enumerate(lines, 1)
        for match in WORDS.finditer(line)
    ]


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(ROOT)))
def test_no_ruled_out_words(path: Path) -> None:
    assert found(path) == []
