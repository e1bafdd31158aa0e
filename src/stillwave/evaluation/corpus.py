"""Word errors over a whole test set: summed, so that a long recording counts for more than a short one."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from stillwave.evaluation.scoring import NOISY, ScoreRow, Scores
from stillwave.evaluation.wer import WordCount
from stillwave.stats.bootstrap import Interval, paired, ratio


@dataclass(frozen=True)
class Corpus:
    """Of one system: the errors over all recordings that can be counted, and how many of those there are."""

    rate: Interval | None
    """Errors to words, not clipped; its interval resamples recordings."""
    words: int
    substitutions: int
    deletions: int
    insertions: int
    recordings: int
    nothing_heard: int
    """Recordings with words in the reference in which the recogniser heard none; they count as all wrong."""


@dataclass(frozen=True)
class Words:
    """What a report says of words."""

    recogniser: str
    references: str
    corpus: Mapping[str, Corpus]
    differences: Mapping[str, Interval | None]
    """Corpus rate of each other system minus the baseline's, over the recordings that both have."""
    raised: Mapping[str, tuple[Interval, Interval]]
    """Systems by which words are lost against the noisy input: the difference of the means, and of the corpus rates."""


def summarise_words(scores: Scores, baseline: str | None, seed: int) -> Words | None:
    """All of it; None where no recogniser was."""
    if not scores.recogniser:
        return None
    counts = {system: _counts(scores.rows, system) for system in scores.systems}
    others = [system for system in scores.systems if baseline is not None and system != baseline]
    return Words(
        recogniser=scores.recogniser,
        references=scores.references,
        corpus={s: _corpus([row for row in scores.rows if row.system == s], seed) for s in scores.systems},
        differences={s: _difference(counts[s], counts[str(baseline)], seed) for s in others},
        raised=_raised(counts, seed),
    )


def _counts(rows: Sequence[ScoreRow], system: str) -> dict[str, WordCount]:
    return {row.id: row.heard.count for row in rows if row.system == system and row.heard and row.heard.count}


def _corpus(rows: Sequence[ScoreRow], seed: int) -> Corpus:
    counts = [row.heard.count for row in rows if row.heard and row.heard.count]
    return Corpus(
        rate=ratio([c.errors for c in counts], [c.words for c in counts], seed) if counts else None,
        words=sum(c.words for c in counts),
        substitutions=sum(c.substitutions for c in counts),
        deletions=sum(c.deletions for c in counts),
        insertions=sum(c.insertions for c in counts),
        recordings=len(counts),
        nothing_heard=sum(c.deletions == c.words for c in counts),
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
