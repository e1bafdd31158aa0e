"""What the scores come to: for each system a matrix seed × recording a metric, and its word errors."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from stillwave.data.pair_sets import Pair
from stillwave.evaluation.challenge import t1
from stillwave.evaluation.transcripts import Transcript, TranscriptPair
from stillwave.stats.bootstrap import Interval, ratio
from stillwave.stats.crossed import Array, Estimate, estimate

from .scoring import CLEAN, SIGNALS, Subject, known, subjects

METRICS = (*SIGNALS, "wer", "t1")


@dataclass(frozen=True)
class Scored:
    """A system: its seeds (of a baseline none), and by metric `[S, U]`, NaN where there is no value."""

    name: str
    seeds: tuple[int, ...]
    values: Mapping[str, Array]
    errors: Array
    """Word errors against what was heard in the target, `[S, U]`."""
    words: Array
    """Words that were heard in the target, `[S, U]`; 0 where nothing was compared."""

    def of(self, metric: str) -> tuple[tuple[int, ...], Array]:
        """Seeds and rows, of those that have a value at all: words take long, and are not heard of every seed."""
        values = self.values[metric]
        kept = np.flatnonzero(~np.isnan(values).all(1))
        return tuple(self.seeds[row] for row in kept) if self.seeds else (), values[kept]


def collect(place: Path, pairs: Sequence[Pair]) -> dict[str, Scored]:
    """Every system that has scores."""
    found: dict[str, list[tuple[Subject, dict[str, Any]]]] = {}
    for subject in subjects(place):
        facts = known(subject, place)
        if "values" in facts:
            found.setdefault(subject.name, []).append((subject, facts))
    clean = known(Subject(CLEAN), place).get("heard", {})
    return {name: _scored(name, rows, clean, pairs) for name, rows in found.items()}


def _scored(
    name: str, rows: list[tuple[Subject, dict[str, Any]]], clean: Mapping[str, Any], pairs: Sequence[Pair]
) -> Scored:
    values = {
        metric: np.array([[_number(facts["values"][p.id][metric]) for p in pairs] for _, facts in rows])
        for metric in SIGNALS
    }
    counts = [[_errors(facts, clean, p.id) for p in pairs] for _, facts in rows]
    errors, words = (np.array([[c[i] for c in row] for row in counts]) for i in (0, 1))
    with np.errstate(invalid="ignore", divide="ignore"):
        values["wer"] = np.minimum(errors / words, 1.0)
    values["t1"] = np.vectorize(_t1)(values["stoi"], values["wer"])
    seeds = tuple(subject.seed for subject, _ in rows if subject.seed is not None)
    return Scored(name, seeds, values, errors, words)


def _number(value: float | None) -> float:
    return np.nan if value is None else value


def _t1(stoi: float, wer: float) -> float:
    return np.nan if np.isnan(stoi) or np.isnan(wer) else t1(stoi, wer)


def _errors(facts: Mapping[str, Any], clean: Mapping[str, Any], name: str) -> tuple[float, float]:
    """Errors and words of one recording; 0 of 0 where it was not heard, or nothing was in the target."""
    if name not in facts.get("heard", {}) or name not in clean:
        return 0.0, 0.0
    count = TranscriptPair(Transcript(*clean[name]), Transcript(*facts["heard"][name])).count
    return (float(count.errors), float(count.words)) if count else (0.0, 0.0)


def difference(ours: Scored, theirs: Scored, metric: str) -> tuple[Estimate | None, int]:
    """Paired by recording, and by seed where both have some; and how many seeds that is."""
    (seeds, a), (others, b) = ours.of(metric), theirs.of(metric)
    if not len(a) or not len(b):
        return None, 0
    common = [seed for seed in seeds if not others or seed in others]
    if others:
        b = b[[others.index(seed) for seed in common]]
    return estimate(a[[seeds.index(seed) for seed in common]] - b), len(common)


def corpus_rate(system: Scored) -> Interval | None:
    """Errors to words over all recordings and seeds; its interval draws recordings."""
    errors, words = system.errors.sum(0), system.words.sum(0)  # nothing of a seed that was not heard
    heard = words > 0
    return ratio(list(errors[heard]), list(words[heard])) if heard.any() else None


def clean_against_texts(place: Path, pairs: Sequence[Pair]) -> Interval | None:
    """What the recogniser gets wrong of the targets themselves, against what was said."""
    heard = known(Subject(CLEAN), place).get("heard")
    if not heard:
        return None
    counts = [TranscriptPair(Transcript(p.text), Transcript(*heard[p.id])).count for p in pairs if p.text]
    told = [count for count in counts if count]
    return ratio([c.errors for c in told], [c.words for c in told])
