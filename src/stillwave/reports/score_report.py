"""The report of an evaluation: every score and transcript, and the summary as Markdown, LaTeX and JSON."""

from __future__ import annotations

from pathlib import Path

from stillwave.evaluation.scoring import ScoreRow, Scores
from stillwave.evaluation.summary import Summary
from stillwave.files import write_json, write_text
from stillwave.reports.markup import csv_table, json_values
from stillwave.reports.score_tables import latex, markdown

_COUNTED = ("words", "substitutions", "deletions", "insertions")


def write_report(scores: Scores, summary: Summary, folder: Path | str) -> None:
    """Write scores.csv, summary.json, summary.md and summary.tex; with a recogniser also transcripts.csv.

    Each file is written atomically.
    """
    folder = Path(folder)
    write_text(folder / "scores.csv", scores_csv(scores))
    if scores.recogniser:
        write_text(folder / "transcripts.csv", transcripts_csv(scores))
    write_json(folder / "summary.json", json_values(summary))
    write_text(folder / "summary.md", markdown(summary))
    write_text(folder / "summary.tex", latex(summary))


def scores_csv(scores: Scores) -> str:
    """Return a line for each recording and system: exact values, and `metric: reason` for missing ones."""
    header = ["id", "system", "snr_db", *scores.metrics, "inverted", "lag", "reasons"]
    return csv_table(header, (_score_line(row, scores.metrics) for row in scores.rows))


def _score_line(row: ScoreRow, metrics: tuple[str, ...]) -> list[object]:
    found = {metric: row.scores[metric] for metric in metrics}
    reasons = [f"{metric}: {score.reason}" for metric, score in found.items() if score.reason]
    values = [score.value for score in found.values()]
    return [row.id, row.system, row.snr_db, *values, int(row.inverted), row.lag, "; ".join(reasons)]


def transcripts_csv(scores: Scores) -> str:
    """Return a line for each recording and system: both transcripts, the errors, or why there are none."""
    header = ["id", "system", *_COUNTED, "reference", "hypothesis", "reason"]
    return csv_table(header, map(_transcript_line, scores.rows))


def _transcript_line(row: ScoreRow) -> list[object]:
    pair = row.transcripts
    if pair is None:
        return [row.id, row.system, *[""] * 6, row.scores["wer"].reason]
    counts = ["" if pair.count is None else getattr(pair.count, name) for name in _COUNTED]
    texts = [transcript.text for transcript in (pair.reference, pair.hypothesis)]
    return [row.id, row.system, *counts, *texts, pair.reason]
