"""Check that the version in the package, CITATION.cff, the changelog and, if one is given, the tag agree.

    python tools/release/check_version.py [TAG]

Without a tag, as in a dry run, the changelog need not have a section of the version yet.
"""

from __future__ import annotations

import re
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
VERSION = r"\d+\.\d+\.\d+(?:(?:a|b|rc)\d+)?"


def declared(file: str, pattern: str) -> str:
    """The version that a file declares."""
    found = re.search(pattern, (ROOT / file).read_text(encoding="utf-8"), flags=re.MULTILINE)
    return found[1] if found else ""


def faults(tag: str | None) -> list[str]:
    """What does not agree, a sentence each."""
    version = declared("src/stillwave/__init__.py", r'^__version__ = "(.*)"$')
    cited = declared("CITATION.cff", r"^version: (.*)$")
    found = []
    if not re.fullmatch(VERSION, version):
        found.append(
            f"src/stillwave/__init__.py: version '{version}' is not X.Y.Z, X.Y.ZaN, X.Y.ZbN or X.Y.ZrcN"
        )
    if cited != version:
        found.append(f"CITATION.cff: states version {cited}; the package is {version}")
    if tag is None:
        return found
    if tag != f"v{version}":
        found.append(f"tag {tag}: the package is {version}, so the tag must be v{version}")
    if not declared("CHANGELOG.md", rf"^## ({re.escape(version)}) - \d{{4}}-\d\d-\d\d$"):
        found.append(f"CHANGELOG.md: has no section '## {version} - YYYY-MM-DD'; rename 'Unreleased' to it")
    return found


def main() -> None:
    """Print the faults and end with exit code 1 if there are any."""
    found = faults(sys.argv[1] if len(sys.argv) > 1 else None)
    sys.exit("\n".join(found) or None)


if __name__ == "__main__":
    main()
