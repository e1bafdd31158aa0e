"""Print the reports of `stillwave data`, as text or JSON."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import typer

from stillwave.cli.pipes import print_json
from stillwave.files import printable

if TYPE_CHECKING:
    from stillwave.data.manifest import Kind
    from stillwave.data.scan import Scan, Skipped


def left_out(name: str, items: Sequence[Skipped]) -> dict[str, Any]:
    """Return the number of skipped files by reason, and their list."""
    return {
        name: dict(Counter(item.reason for item in items)),
        f"{name}_files": [
            {"path": str(item.path), "reason": item.reason, "detail": item.detail} for item in items
        ],
    }


def scan_report(found: Mapping[Kind, Scan], written: Mapping[Kind, Path]) -> dict[str, Any]:
    """Return the result of a scan by kind."""
    from stillwave.data.manifest import hours

    report: dict[str, Any] = {
        kind: {
            "manifest": str(written[kind]),
            "recordings": len(part.recordings),
            "hours": round(hours(part.recordings), 3),
            "speakers": len({recording.speaker for recording in part.recordings if recording.speaker}),
        }
        for kind, part in found.items()
    }
    skipped = [item for part in found.values() for item in part.skipped]
    return {**report, **left_out("left_out", skipped)}


def show(report: dict[str, Any], as_json: bool) -> None:
    """Print a report to stdout."""
    if as_json:
        print_json(report)
        return
    for key, value in report.items():
        for line in _lines(key.replace("_", " "), value):
            typer.echo(printable(line))


def _lines(key: str, value: Any) -> list[str]:
    if isinstance(value, dict):
        inner = "  ".join(f"{name} {_text(part)}" for name, part in value.items()) or "none"
        return [f"{key:20} {inner}"]
    if isinstance(value, list):
        shown = [
            f"  {item if isinstance(item, str) else '  '.join(v for v in item.values() if v)}"
            for item in value[:20]
        ]
        more = [f"  … and {len(value) - 20} more (--json lists all)"] if len(value) > 20 else []
        return [f"{key:20} {len(value) or 'none'}", *shown, *more]
    return [f"{key:20} {_text(value)}"]


def _text(value: Any) -> str:
    return f"{value:.5g}" if isinstance(value, float) else str(value)
