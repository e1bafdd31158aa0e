"""Phoneme similarity: 1 − edits / phonemes of the reference, of the transcripts of a recogniser; higher is better.

The Levenshtein phoneme similarity of J. Pirklbauer et al., "Evaluation metrics for generative speech enhancement
methods: Issues and perspectives", ITG Speech Communication 2023, with another source of phonemes: espeak-ng, which
pronounces the transcripts in US English, instead of a phoneme recogniser. A wrong word that sounds alike costs less
than in the word error rate.
"""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING

from stillwave.errors import MetricError
from stillwave.evaluation.wer import normalise

if TYPE_CHECKING:
    from stillwave.data.demo.espeak import Espeak

LANGUAGE = "en-us"


def phoneme_similarity(reference: str, hypothesis: str) -> float:
    """Return the similarity of two texts, at least 0. Raises MetricError if the reference has no words."""
    expected, found = phonemes(reference), phonemes(hypothesis)
    if not expected:
        raise MetricError("the reference has no words")
    return similarity(expected, found)


def similarity(expected: list[str], found: list[str]) -> float:
    """Return 1 − edits / length of two sequences of phonemes, at least 0.

    Examples:
        >>> similarity(["k", "æ", "t"], ["h", "æ", "t"])
        0.6666666666666667

    """
    from rapidfuzz.distance import Levenshtein

    return max(0.0, 1 - Levenshtein.distance(expected, found) / len(expected))


def phonemes(text: str) -> list[str]:
    """Return the phonemes of a text in the International Phonetic Alphabet, without stress.

    Raises MissingExtraError without `espeakng-loader`.
    """
    words = normalise(text)
    return _espeak().phonemes(words, LANGUAGE) if words else []


@cache
def _espeak() -> Espeak:
    from stillwave.data.demo.espeak import Espeak

    return Espeak()
