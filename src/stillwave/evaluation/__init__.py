"""Evaluation: scores with intervals, and a reason wherever there is no score."""

from stillwave.errors import MetricError
from stillwave.evaluation.metrics import DEFAULT, METRICS, Score, score
from stillwave.evaluation.report import write_report
from stillwave.evaluation.scoring import NOISY, Item, ScoreRow, Scores, mean_score, score_pairs
from stillwave.evaluation.statistics import Interval, Summary, TableCell, bootstrap, paired, summarise
from stillwave.evaluation.tables import latex, markdown

__all__ = [
    "DEFAULT",
    "METRICS",
    "NOISY",
    "Interval",
    "Item",
    "MetricError",
    "Score",
    "ScoreRow",
    "Scores",
    "Summary",
    "TableCell",
    "bootstrap",
    "latex",
    "markdown",
    "mean_score",
    "paired",
    "score",
    "score_pairs",
    "summarise",
    "write_report",
]
