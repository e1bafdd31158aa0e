"""Means with bootstrap 95 % intervals, and paired differences, over the recordings that have a value."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from stillwave.errors import StillwaveError, nearest
from stillwave.evaluation.corpus import Words, summarise_words
from stillwave.evaluation.scoring import NOISY, ScoreRow, Scores
from stillwave.stats.bootstrap import Interval, bootstrap, paired

__all__ = [
    "Interval",
    "Summary",
    "TableCell",
    "bootstrap",
    "check_baseline",
    "paired",
    "snr_groups",
    "summarise",
]


@dataclass(frozen=True)
class TableCell:
    """One metric of one system: its mean where any recording has a value, and why the others have none."""

    interval: Interval | None
    reasons: Mapping[str, int]

    @property
    def failed(self) -> int:
        """Recordings without a value."""
        return sum(self.reasons.values())


@dataclass(frozen=True)
class Summary:
    """What a report shows: `means[system][metric]`, `differences` against the baseline, `by_snr[label]…`."""

    systems: tuple[str, ...]
    metrics: tuple[str, ...]
    recordings: int
    baseline: str | None
    means: Mapping[str, Mapping[str, TableCell]]
    differences: Mapping[str, Mapping[str, Interval | None]]
    by_snr: Mapping[str, Mapping[str, Mapping[str, TableCell]]]
    inverted: Mapping[str, int]
    """Estimates of opposite polarity, by system."""
    seed: int
    words: Words | None = None
    """Where a recogniser heard the recordings."""
    lags: Mapping[str, Sequence[int]] = field(default_factory=dict)
    """Samples at 16 kHz by which estimates are late (early, below 0), by system, sorted; of those that are."""


def check_baseline(baseline: str, systems: Iterable[str]) -> None:
    """Raise StillwaveError, with the names there are, for a baseline that is not one of the systems."""
    if baseline not in set(systems):
        raise StillwaveError(f"the baseline '{baseline}' is not scored; {nearest(baseline, systems)}")


def summarise(scores: Scores, baseline: str | None = None, seed: int = 0) -> Summary:
    """Everything a report shows. `baseline` is by default `noisy` where that was scored.

    Raises StillwaveError for a baseline that was not scored.
    """
    if baseline is None:
        baseline = NOISY if NOISY in scores.systems else None
    else:
        check_baseline(baseline, scores.systems)
    rows = {system: [row for row in scores.rows if row.system == system] for system in scores.systems}
    values = {s: {m: _values(rows[s], m) for m in scores.metrics} for s in scores.systems}
    differences = {
        system: {m: paired(values[system][m], values[baseline][m], seed) for m in scores.metrics}
        for system in scores.systems
        if baseline is not None and system != baseline
    }
    return Summary(
        systems=scores.systems,
        metrics=scores.metrics,
        recordings=len({row.id for row in scores.rows}),
        baseline=baseline,
        means={s: _cells(rows[s], scores.metrics, seed) for s in scores.systems},
        differences=differences,
        by_snr=_by_snr(scores, seed),
        inverted={s: sum(row.inverted for row in rows[s]) for s in scores.systems},
        seed=seed,
        words=summarise_words(scores, baseline, seed),
        lags={s: sorted(row.lag for row in rows[s] if row.lag) for s in scores.systems},
    )


def _values(rows: Sequence[ScoreRow], metric: str) -> dict[str, float]:
    return {row.id: value for row in rows if (value := row.scores[metric].value) is not None}


def _cells(rows: Sequence[ScoreRow], metrics: Sequence[str], seed: int) -> dict[str, TableCell]:
    cells = {}
    for metric in metrics:
        values = list(_values(rows, metric).values())
        reasons = Counter(reason for row in rows if (reason := row.scores[metric].reason) is not None)
        cells[metric] = TableCell(bootstrap(values, seed) if values else None, dict(reasons.most_common()))
    return cells


def _by_snr(scores: Scores, seed: int) -> dict[str, dict[str, dict[str, TableCell]]]:
    groups = snr_groups({row.id: row.snr_db for row in scores.rows})
    return {
        label: {
            system: _cells(
                [row for row in scores.rows if row.system == system and row.id in ids], scores.metrics, seed
            )
            for system in scores.systems
        }
        for label, ids in groups.items()
    }


def snr_groups(snr_db: Mapping[str, float | None]) -> dict[str, set[str]]:
    """Recordings by SNR, lowest first: by value for sets mixed at a few values, else in bins of 5 dB.

    A few: eight at most, which are multiples of 2.5 dB or have two recordings each on average. Nothing where fewer than
    two values are known.

    Examples:
        >>> snr_groups({"a": 0.0, "b": 5.0, "c": None})
        {'0 dB': {'a'}, '5 dB': {'b'}}
        >>> snr_groups({"a": 0.31, "b": 7.2})
        {'0 … 5 dB': {'a'}, '5 … 10 dB': {'b'}}

    """
    known = {id_: snr for id_, snr in snr_db.items() if snr is not None and math.isfinite(snr)}
    values = set(known.values())
    if len(values) < 2:
        return {}
    on_grid = all(value % 2.5 == 0 for value in values)
    exact = len(values) <= 8 and (on_grid or len(known) >= 2 * len(values))
    groups: dict[float, set[str]] = {}
    for id_, snr in known.items():
        groups.setdefault(snr if exact else 5 * math.floor(snr / 5), set()).add(id_)
    return {(f"{low:g} dB" if exact else f"{low:g} … {low + 5:g} dB"): groups[low] for low in sorted(groups)}
