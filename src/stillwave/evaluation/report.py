"""What an evaluation leaves in a folder: every score and transcript, and the summary in the forms that people paste."""

from __future__ import annotations

import csv
import io
from pathlib import Path

from stillwave.evaluation.scoring import Scores
from stillwave.evaluation.statistics import Summary
from stillwave.evaluation.tables import latex, markdown, plain
from stillwave.files import write_json, write_text


def write_report(scores: Scores, summary: Summary, folder: Path | str) -> None:
    """Write scores.csv, summary.json, summary.md, summary.tex and, of a recogniser, transcripts.csv.

    Each appears whole.
    """
    folder = Path(folder)
    write_text(folder / "scores.csv", as_csv(scores))
    if scores.recogniser:
        write_text(folder / "transcripts.csv", transcripts_csv(scores))
    write_json(folder / "summary.json", plain(summary))
    write_text(folder / "summary.md", markdown(summary))
    write_text(folder / "summary.tex", latex(summary))


def as_csv(scores: Scores) -> str:
    """One line a recording and system: exact values, and `metric: reason` where there is none."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(["id", "system", "snr_db", *scores.metrics, "inverted", "lag", "reasons"])
    for row in scores.rows:
        values = [row.scores[metric] for metric in scores.metrics]
        reasons = [
            f"{metric}: {s.reason}" for metric, s in zip(scores.metrics, values, strict=True) if s.reason
        ]
        cells = ["" if s.value is None else repr(s.value) for s in values]
        snr = "" if row.snr_db is None else row.snr_db
        writer.writerow([row.id, row.system, snr, *cells, int(row.inverted), row.lag, "; ".join(reasons)])
    return text.getvalue()


def transcripts_csv(scores: Scores) -> str:
    """One line a recording and system: both transcripts as they were heard, the errors, or the reason why not."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    counted = ("words", "substitutions", "deletions", "insertions")
    writer.writerow(["id", "system", *counted, "reference", "hypothesis", "reason"])
    for row in scores.rows:
        heard = row.heard
        if heard is None:
            writer.writerow([row.id, row.system, *[""] * 6, row.scores["wer"].reason])
            continue
        counts = ["" if heard.count is None else getattr(heard.count, name) for name in counted]
        texts = [transcript.text or "" for transcript in (heard.reference, heard.hypothesis)]
        writer.writerow([row.id, row.system, *counts, *texts, heard.reason or ""])
    return text.getvalue()
