"""Summary of scores: means with intervals, paired differences from a baseline, and groups by SNR."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from stillwave.errors import StillwaveError, nearest
from stillwave.evaluation.scoring import NOISY, ScoreRow, Scores
from stillwave.evaluation.wer import WordCount
from stillwave.stats.bootstrap import Interval, bootstrap, paired, ratio


@dataclass(frozen=True)
class CorpusErrors:
    """The word errors of one system, summed over the recordings that have both transcripts."""

    rate: Interval | None
    """Errors divided by words, not clipped."""
    words: int
    substitutions: int
    deletions: int
    insertions: int
    recordings: int
    empty_transcripts: int
    """Recordings whose transcript is empty although the reference has words; their WER is 1."""


@dataclass(frozen=True)
class WordErrors:
    """Word errors of all systems."""

    recogniser: str
    references: str
    corpus: Mapping[str, CorpusErrors]
    differences: Mapping[str, Interval | None]
    """Corpus WER of each other system minus that of the baseline, over the recordings of both."""
    raised: Mapping[str, tuple[Interval, Interval]]
    """Systems with a higher WER than the noisy input: the differences of the mean and of the corpus WER."""


def summarise_word_errors(scores: Scores, baseline: str | None, seed: int) -> WordErrors | None:
    """Return the word errors of all systems; None without a recogniser."""
    if not scores.recogniser:
        return None
    counts = {system: _counts(scores.rows, system) for system in scores.systems}
    others = [system for system in scores.systems if baseline is not None and system != baseline]
    return WordErrors(
        recogniser=scores.recogniser,
        references=scores.references,
        corpus={s: _corpus([row for row in scores.rows if row.system == s], seed) for s in scores.systems},
        differences={s: _difference(counts[s], counts[str(baseline)], seed) for s in others},
        raised=_raised(counts, seed),
    )


def _counts(rows: Sequence[ScoreRow], system: str) -> dict[str, WordCount]:
    return {
        row.id: row.transcripts.count
        for row in rows
        if row.system == system and row.transcripts and row.transcripts.count
    }


def _corpus(rows: Sequence[ScoreRow], seed: int) -> CorpusErrors:
    counts = [row.transcripts.count for row in rows if row.transcripts and row.transcripts.count]
    return CorpusErrors(
        rate=ratio([c.errors for c in counts], [c.words for c in counts], seed) if counts else None,
        words=sum(c.words for c in counts),
        substitutions=sum(c.substitutions for c in counts),
        deletions=sum(c.deletions for c in counts),
        insertions=sum(c.insertions for c in counts),
        recordings=len(counts),
        empty_transcripts=sum(c.deletions == c.words for c in counts),
    )


def _difference(
    counts: Mapping[str, WordCount], baseline_counts: Mapping[str, WordCount], seed: int
) -> Interval | None:
    both = [(counts[name], baseline_counts[name]) for name in counts if name in baseline_counts]
    if not both:
        return None
    return ratio([a.errors - b.errors for a, b in both], [a.words for a, _ in both], seed)


def _raised(counts: Mapping[str, Mapping[str, WordCount]], seed: int) -> dict[str, tuple[Interval, Interval]]:
    if NOISY not in counts:
        return {}
    clipped = {s: {name: min(c.rate, 1.0) for name, c in found.items()} for s, found in counts.items()}
    found = {
        s: (paired(clipped[s], clipped[NOISY], seed), _difference(counts[s], counts[NOISY], seed))
        for s in counts
        if s != NOISY
    }
    return {
        s: (mean, corpus)
        for s, (mean, corpus) in found.items()
        if mean is not None and corpus is not None and max(mean.mean, corpus.mean) > 0
    }


@dataclass(frozen=True)
class TableCell:
    """One metric of one system: the mean over the recordings with a value, and the reasons of those without."""

    interval: Interval | None
    reasons: Mapping[str, int]
    examples: Mapping[str, str] = field(default_factory=dict)
    """Id of the first recording with each reason."""

    @property
    def failed(self) -> int:
        """The number of recordings without a value."""
        return sum(self.reasons.values())


@dataclass(frozen=True)
class Summary:
    """The summary of an evaluation.

    Attributes:
        systems: Systems in the order of the tables.
        metrics: Metric keys.
        recordings: The number of recordings.
        baseline: The system that differences are computed against.
        means: By system and metric.
        differences: Paired differences from the baseline, by system and metric.
        by_snr: Means by SNR group, system and metric.
        by: Means by column of the list of mixtures, label, system and metric.
        inverted: The number of estimates of opposite polarity, by system.
        seed: The seed of the bootstrap.
        words: Word errors, if there was a recogniser.
        lags: By system, the lags other than 0 in samples at 16 kHz, sorted; positive is late.

    """

    systems: tuple[str, ...]
    metrics: tuple[str, ...]
    recordings: int
    baseline: str | None
    means: Mapping[str, Mapping[str, TableCell]]
    differences: Mapping[str, Mapping[str, Interval | None]]
    by_snr: Mapping[str, Mapping[str, Mapping[str, TableCell]]]
    inverted: Mapping[str, int]
    seed: int
    words: WordErrors | None = None
    lags: Mapping[str, Sequence[int]] = field(default_factory=dict)
    by: Mapping[str, Mapping[str, Mapping[str, Mapping[str, TableCell]]]] = field(default_factory=dict)


def check_baseline(baseline: str, systems: Iterable[str]) -> None:
    """Raise StillwaveError if the baseline is not one of the systems."""
    if baseline not in set(systems):
        raise StillwaveError(f"the baseline '{baseline}' is not scored; {nearest(baseline, systems)}")


def summarise(
    scores: Scores,
    baseline: str | None = None,
    seed: int = 0,
    labels: Mapping[str, Mapping[str, str]] | None = None,
) -> Summary:
    """Return means with 95 % intervals, paired differences, and groups by SNR and by labels.

    Args:
        scores: The scores of every recording and system.
        baseline: The system to compute differences from; by default `noisy`, if it was scored.
        seed: The seed of the bootstrap.
        labels: By column, the label of each recording, e.g. `{"language": {"001": "fr"}}`.

    Returns:
        The summary.

    Raises:
        StillwaveError: The baseline was not scored.

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
        by_snr=_by_group(scores, snr_groups({row.id: row.snr_db for row in scores.rows}), seed),
        inverted={s: sum(row.inverted for row in rows[s]) for s in scores.systems},
        seed=seed,
        words=summarise_word_errors(scores, baseline, seed),
        lags={s: sorted(row.lag for row in rows[s] if row.lag) for s in scores.systems},
        by={
            column: _by_group(scores, _label_groups(found), seed) for column, found in (labels or {}).items()
        },
    )


def _values(rows: Sequence[ScoreRow], metric: str) -> dict[str, float]:
    return {row.id: value for row in rows if (value := row.scores[metric].value) is not None}


def _cells(rows: Sequence[ScoreRow], metrics: Sequence[str], seed: int) -> dict[str, TableCell]:
    cells = {}
    for metric in metrics:
        values = list(_values(rows, metric).values())
        missing = [(row.id, reason) for row in rows if (reason := row.scores[metric].reason) is not None]
        reasons = dict(Counter(reason for _, reason in missing).most_common())
        examples = {reason: name for name, reason in reversed(missing)}
        cells[metric] = TableCell(bootstrap(values, seed) if values else None, reasons, examples)
    return cells


def _by_group(
    scores: Scores, groups: Mapping[str, set[str]], seed: int
) -> dict[str, dict[str, dict[str, TableCell]]]:
    return {
        label: {
            system: _cells(
                [row for row in scores.rows if row.system == system and row.id in ids], scores.metrics, seed
            )
            for system in scores.systems
        }
        for label, ids in groups.items()
    }


def _label_groups(labels: Mapping[str, str]) -> dict[str, set[str]]:
    """Return the recordings of each label, with their number in the label's text, in the order of the labels."""
    groups: dict[str, set[str]] = {}
    for id_, label in labels.items():
        groups.setdefault(label or "(none)", set()).add(id_)
    return {f"{label} ({len(groups[label])})": groups[label] for label in sorted(groups)}


def snr_groups(snr_db: Mapping[str, float | None]) -> dict[str, set[str]]:
    """Group recordings by SNR, lowest first: by value if there are few, otherwise in bins of 5 dB.

    Few means at most eight values, which are multiples of 2.5 dB or have at least two recordings each on average. The
    result is empty if fewer than two values are known.

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
