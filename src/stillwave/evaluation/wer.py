"""Word error rate: what counts as a word, and how many of them are wrong.

**Words.** Unicode is brought to its composed compatibility form, letters to lower case, curly apostrophes to straight
ones. What is neither letter, digit, combining mark nor apostrophe parts words (hyphens too); an apostrophe with no
letter or digit beside it is dropped. Numbers stay as they are written: "7" is not "seven". So two texts of upper-case
letters, apostrophes and spaces, which is all that wav2vec2-base-960h writes, count as in the challenge's own script,
which changes nothing.

**Errors.** Substitutions + deletions + insertions of the alignment that has fewest (Levenshtein; package `jiwer`).
"""

from __future__ import annotations

import re
import unicodedata
from dataclasses import dataclass

_APOSTROPHES = str.maketrans(dict.fromkeys("’‘ʼ′`´＇", "'"))
_ALONE = re.compile(r"(?<!\S)'+(?!\S)")


def normalise(text: str) -> str:
    """Words, one space between two.

    Examples:
        >>> normalise("  Don’t -- well-KNOWN, “is it”? ' ")
        "don't well known is it"
        >>> normalise("THE DOG'S 7 DOGS' 'TIS")
        "the dog's 7 dogs' 'tis"

    """
    # Apostrophes first: the compatibility form of ´ is a space with an accent.
    text = unicodedata.normalize("NFKC", text.translate(_APOSTROPHES)).lower()
    kept = "".join(c if c == "'" or unicodedata.category(c)[0] in "LMN" else " " for c in text)
    return " ".join(_ALONE.sub(" ", kept).split())


@dataclass(frozen=True)
class WordCount:
    """What an alignment found. `words`: those of the reference, at least one."""

    substitutions: int
    deletions: int
    insertions: int
    words: int

    @property
    def errors(self) -> int:
        """All three."""
        return self.substitutions + self.deletions + self.insertions

    @property
    def rate(self) -> float:
        """Errors to words: 0 is perfect, 1 is what silence gets, more is possible (insertions)."""
        return self.errors / self.words


def count(reference: str, hypothesis: str) -> WordCount | None:
    """Errors of a hypothesis; None where the reference has no words.

    Examples:
        >>> count("The cat sat.", "a cat sat down")
        WordCount(substitutions=1, deletions=0, insertions=1, words=3)
        >>> count("the cat sat", "").rate
        1.0
        >>> count("...", "a cat") is None
        True

    """
    import jiwer

    said, heard = normalise(reference), normalise(hypothesis)
    if not said:
        return None
    found = jiwer.process_words(said, heard)
    return WordCount(found.substitutions, found.deletions, found.insertions, len(said.split()))
