"""Scores of one system as a file: one line a recording and metric, with the reason where there is no value."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from stillwave.errors import StillwaveError
from stillwave.evaluation import ScoreRow

COLUMNS = ("recording", "snr_db", "metric", "value", "reason")


@dataclass(frozen=True)
class ScoreRecord:
    """A value, or why there is none."""

    recording: str
    snr_db: float | None
    metric: str
    value: float | None
    reason: str


def as_csv(rows: Iterable[ScoreRow]) -> str:
    """The rows of one system; values are exact."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(COLUMNS)
    for row in rows:
        for metric, score in row.scores.items():
            value = "" if score.value is None else repr(float(score.value))
            snr = "" if row.snr_db is None else repr(row.snr_db)
            writer.writerow([row.id, snr, metric, value, score.reason or ""])
    return text.getvalue()


def read(file: Path) -> list[ScoreRecord]:
    """The inverse. Raises StillwaveError for a file that is no such table."""
    try:
        with file.open(newline="", encoding="utf-8") as handle:
            return [
                ScoreRecord(
                    recording=entry["recording"],
                    snr_db=float(entry["snr_db"]) if entry["snr_db"] else None,
                    metric=entry["metric"],
                    value=float(entry["value"]) if entry["value"] else None,
                    reason=entry["reason"],
                )
                for entry in csv.DictReader(handle)
            ]
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise StillwaveError(f"{file}: cannot be read ({error}); delete it to have it made anew") from None
