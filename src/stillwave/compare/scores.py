"""The scores of one system as a CSV file: a line for each recording and metric, with reasons of missing values."""

from __future__ import annotations

import csv
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from stillwave.errors import StillwaveError
from stillwave.evaluation import ScoreRow
from stillwave.reports.markup import csv_table

COLUMNS = ("recording", "snr_db", "metric", "value", "reason")


@dataclass(frozen=True)
class ScoreRecord:
    """A value, or the reason for its absence."""

    recording: str
    snr_db: float | None
    metric: str
    value: float | None
    reason: str


def as_csv(rows: Iterable[ScoreRow]) -> str:
    """Return the rows of one system; values are exact."""
    return csv_table(
        COLUMNS,
        (
            [row.id, row.snr_db, metric, score.value, score.reason]
            for row in rows
            for metric, score in row.scores.items()
        ),
    )


def read(file: Path) -> list[ScoreRecord]:
    """Read the scores of one system. Raises StillwaveError for a damaged file."""
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
        raise StillwaveError(f"{file}: cannot be read ({error}); delete it to score again") from None
