"""Word error rate: cases worked by hand, and properties that hold for any words."""

from __future__ import annotations

import jiwer
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from stillwave.evaluation.wer import WordCount, count, normalise

WORDS = st.lists(st.text("ABN'", min_size=1, max_size=3).filter(lambda w: w.strip("'")), max_size=6)
ANY = st.text(max_size=30)


@pytest.mark.parametrize(
    ("reference", "hypothesis", "expected"),
    [
        ("a b c d", "a b c d", (0, 0, 0, 4)),
        ("a b c d", "a x c d", (1, 0, 0, 4)),
        ("a b c d", "a c d", (0, 1, 0, 4)),
        ("a b c d", "a b b c d", (0, 0, 1, 4)),
        ("a b c d", "x c d e", (1, 1, 1, 4)),  # a, b → x; c d stay; e is new
        ("a b", "", (0, 2, 0, 2)),
        ("a", "x y z", (1, 0, 2, 1)),  # three errors in one word: more than 1
        ("Don’t stop!", "don't STOP", (0, 0, 0, 2)),
        ("well-known", "well known", (0, 0, 0, 2)),
        ("seven", "7", (1, 0, 0, 1)),  # numbers are not spelt out
    ],
)
def test_cases_worked_by_hand(reference, hypothesis, expected):
    assert count(reference, hypothesis) == WordCount(*expected)


def test_rates():
    assert count("a", "x y z").rate == 3
    assert count("a b", "").rate == 1
    assert count("a b c d", "x c d e").rate == 0.75


@pytest.mark.parametrize("nothing", ["", "   ", "…", "' -- ’", "[!]"])
def test_a_reference_without_words_gives_no_rate(nothing):
    assert count(nothing, "") is None
    assert count(nothing, "a b") is None


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("THE CAT'S  here,\tnow\n", "the cat's here now"),
        ("'tis dogs' rock 'n' roll", "'tis dogs' rock 'n' roll"),
        ("“Naïve” café", "naïve café"),
        ("naïve", "naïve"),  # composed and decomposed are one
        ("under_score e.g. 3.5%", "under score e g 3 5"),
        ("ＷＩＤＥ ﬁne", "wide fine"),
    ],
)
def test_words_are_normalised(text, words):
    assert normalise(text) == words


@given(ANY)
def test_normalising_twice_changes_nothing(text):
    once = normalise(text)
    assert normalise(once) == once
    assert once == " ".join(once.split())


@settings(max_examples=60)
@given(WORDS.filter(bool), WORDS)
def test_words_of_wav2vec2_are_counted_as_in_the_challenges_script(spoken, recognised):
    """Which hands jiwer the two texts as they are."""
    reference, hypothesis = " ".join(spoken), " ".join(recognised)
    assert count(reference, hypothesis).rate == pytest.approx(jiwer.wer(reference, hypothesis))


@settings(max_examples=60)
@given(WORDS.filter(bool), WORDS)
def test_errors_are_the_edit_distance(spoken, recognised):
    found = count(" ".join(spoken), " ".join(recognised))
    assert found.errors == distance(spoken, recognised)
    assert found.words == len(spoken)
    assert found.words - found.deletions + found.insertions == len(recognised)


def distance(a, b):
    """Levenshtein's, row by row."""
    row = list(range(len(b) + 1))
    for i, x in enumerate(a, 1):
        before, row[0] = row[0], i
        for j, y in enumerate(b, 1):
            before, row[j] = row[j], min(row[j] + 1, row[j - 1] + 1, before + (x != y))
    return row[-1]
