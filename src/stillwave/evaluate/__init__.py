"""Evaluation: scores with intervals, and a reason wherever there is no score."""

from stillwave.errors import MetricError
from stillwave.evaluate.metrics import DEFAULT, METRICS, Score, score
from stillwave.evaluate.report import write_report
from stillwave.evaluate.scoring import NOISY, Item, Row, Scores, mean_score, score_pairs
from stillwave.evaluate.statistics import Cell, Interval, Summary, bootstrap, paired, summarise
from stillwave.evaluate.tables import latex, markdown

__all__ = [
    "DEFAULT",
    "METRICS",
    "NOISY",
    "Cell",
    "Interval",
    "Item",
    "MetricError",
    "Row",
    "Score",
    "Scores",
    "Summary",
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
