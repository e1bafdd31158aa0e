"""Word error rate: normalisation of texts and counting of errors.

**Words.** Unicode is normalised to NFKC, letters to lower case, curly apostrophes to straight ones. Any character other
than letters, digits, combining marks and apostrophes separates words, hyphens included; an apostrophe without a letter
or digit beside it is removed. Numbers are not spelt out: "7" is not "seven". Texts of upper-case letters, apostrophes
and spaces, the only output of wav2vec2-base-960h, are counted as in the script of the L3DAS challenge, which does not
normalise.

**Errors.** Substitutions + deletions + insertions of the alignment with the fewest (Levenshtein; package `jiwer`).
"""

from __future__ import annotations

import re
import unicodedata
from dataclasses import dataclass

_APOSTROPHES = str.maketrans(dict.fromkeys("’‘ʼ′`´＇", "'"))
_ALONE = re.compile(r"(?<!\S)'+(?!\S)")


def normalise(text: str) -> str:
    """Return the words of a text in lower case, separated by single spaces.

    Examples:
        >>> normalise("  Don’t -- well-KNOWN, “is it”? ' ")
        "don't well known is it"
        >>> normalise("THE DOG'S 7 DOGS' 'TIS")
        "the dog's 7 dogs' 'tis"

    """
    # Apostrophes first: NFKC turns ´ into a space with an accent.
    text = unicodedata.normalize("NFKC", text.translate(_APOSTROPHES)).lower()
    kept = "".join(c if c == "'" or unicodedata.category(c)[0] in "LMN" else " " for c in text)
    return " ".join(_ALONE.sub(" ", kept).split())


@dataclass(frozen=True)
class WordCount:
    """The word errors of a hypothesis; `words` is the number of words of the reference, at least 1."""

    substitutions: int
    deletions: int
    insertions: int
    words: int

    @property
    def errors(self) -> int:
        """Substitutions, deletions and insertions."""
        return self.substitutions + self.deletions + self.insertions

    @property
    def rate(self) -> float:
        """Errors divided by words: 0 is perfect, an empty hypothesis has 1, insertions can exceed 1."""
        return self.errors / self.words


def count(reference: str, hypothesis: str) -> WordCount | None:
    """Count the errors of a hypothesis; None if the reference has no words.

    Examples:
        >>> count("The cat sat.", "a cat sat down")
        WordCount(substitutions=1, deletions=0, insertions=1, words=3)
        >>> count("the cat sat", "").rate
        1.0
        >>> count("...", "a cat") is None
        True

    """
    import jiwer

    words = normalise(reference)
    if not words:
        return None
    found = jiwer.process_words(words, normalise(hypothesis))
    return WordCount(found.substitutions, found.deletions, found.insertions, len(words.split()))
