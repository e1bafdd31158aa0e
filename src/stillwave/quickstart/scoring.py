"""Score the systems on the test mixtures and keep the scores, so that a resumed quick start does not repeat this."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from stillwave.evaluation import Score, ScoreRow, Scores, Summary
from stillwave.files import read_json, write_json
from stillwave.stats.bootstrap import Interval

METRICS = ("pesq_wb", "pesq_nb", "stoi", "si_sdr")
BASELINE = "alone"


@dataclass(frozen=True)
class Scored:
    """Every score, and the summary against the student alone."""

    scores: Scores
    summary: Summary

    def gains(self) -> Mapping[str, Mapping[str, Interval | None]]:
        """Return the mean paired differences from the noisy input, by system and metric."""
        from stillwave.evaluation import summarise

        return summarise(self.scores, "noisy").differences

    def of(self, item: str) -> dict[str, dict[str, float]]:
        """Return the scores of one mixture, by system and metric."""
        return {
            row.system: {m: s.value for m, s in row.scores.items() if s.value is not None}
            for row in self.scores.rows
            if row.id == item
        }

    def left_out(self) -> list[str]:
        """Return the missing scores with their reasons."""
        return [
            f"{row.id}, {row.system}, {metric}: {score.reason}"
            for row in self.scores.rows
            for metric, score in row.scores.items()
            if score.reason is not None
        ]


def score(test: Path, checkpoints: Mapping[str, Path], folder: Path, jobs: int | None) -> Scored:
    """Enhance the mixtures of `test` with each checkpoint into `folder/audio`, score them and write the tables.

    Existing scores of the same checkpoints are reused. Raises StillwaveError.
    """
    from stillwave.checkpoint import read_card, resolve
    from stillwave.evaluation import score_pairs, summarise
    from stillwave.evaluation.inputs import from_checkpoints
    from stillwave.reports.score_report import write_report

    weights = {name: read_card(resolve(path)).sha256 for name, path in checkpoints.items()}
    made_of = {"test": str(test.resolve()), "weights": weights}
    file = folder / "rows.json"
    found = read_json(file)
    if found is not None and found.get("made_of") == made_of:
        scores = _from_plain(found)
    else:
        items = from_checkpoints(test, checkpoints, folder / "audio")
        scores = score_pairs(items, METRICS, jobs)
        write_report(scores, summarise(scores, BASELINE), folder)
        write_json(file, {"made_of": made_of, **_plain(scores)})
    return Scored(scores, summarise(scores, BASELINE))


def _plain(scores: Scores) -> dict[str, Any]:
    rows = [
        {
            "id": row.id,
            "system": row.system,
            "snr_db": row.snr_db,
            "inverted": row.inverted,
            "scores": {metric: list(score) for metric, score in row.scores.items()},
        }
        for row in scores.rows
    ]
    return {"systems": scores.systems, "metrics": scores.metrics, "rows": rows}


def _from_plain(found: dict[str, Any]) -> Scores:
    rows = [
        ScoreRow(**{**row, "scores": {metric: Score(*values) for metric, values in row["scores"].items()}})
        for row in found["rows"]
    ]
    return Scores(tuple(found["systems"]), tuple(found["metrics"]), tuple(rows))
