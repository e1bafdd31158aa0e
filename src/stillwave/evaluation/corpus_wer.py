"""Word error rate of a test set: errors summed over recordings, divided by the words of the references."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from stillwave.evaluation.scoring import NOISY, ScoreRow, Scores
from stillwave.evaluation.wer import WordCount
from stillwave.stats.bootstrap import Interval, paired, ratio


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


def _difference(ours: Mapping[str, WordCount], theirs: Mapping[str, WordCount], seed: int) -> Interval | None:
    both = [(ours[name], theirs[name]) for name in ours if name in theirs]
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
