"""Evaluation: metrics, speech recognisers, and scores of systems on recordings with intervals."""

from stillwave.errors import MetricError
from stillwave.evaluation.metrics import DEFAULT, METRICS, Score, score
from stillwave.evaluation.scoring import NOISY, Item, ScoreRow, Scores, mean_score, score_pairs
from stillwave.evaluation.summary import Summary, TableCell, summarise

__all__ = [
    "DEFAULT",
    "METRICS",
    "NOISY",
    "Item",
    "MetricError",
    "Score",
    "ScoreRow",
    "Scores",
    "Summary",
    "TableCell",
    "mean_score",
    "score",
    "score_pairs",
    "summarise",
]
