"""Words in the scores: the metrics, the sums over a corpus, warnings, and what the reports show."""

from __future__ import annotations

import csv
import io
import json

import pytest
from fake_recognisers import clip, install
from voices import noisy, voice

from stillwave.errors import MissingExtraError
from stillwave.evaluation import (
    Item,
    MetricError,
    Score,
    ScoreRow,
    Scores,
    score,
    score_pairs,
    summarise,
)
from stillwave.evaluation.metrics import METRICS, choose
from stillwave.evaluation.transcripts import AsrConfig, Transcript, TranscriptPair
from stillwave.reports.formatting import heading
from stillwave.reports.markup import json_values
from stillwave.reports.score_report import transcripts_csv, write_report
from stillwave.reports.score_tables import latex, markdown, notes, warnings
from stillwave.stats.bootstrap import bootstrap, ratio


def transcripts_of(reference, hypothesis):
    return TranscriptPair(Transcript(reference), Transcript(hypothesis))


def rows(system, *pairs):
    """Rows of a system: reference and hypothesis each, or what went wrong."""
    found = []
    for n, pair in enumerate(pairs):
        both = (
            transcripts_of(*pair)
            if isinstance(pair, tuple)
            else TranscriptPair(Transcript("a"), Transcript(None, pair))
        )
        entry = Score(min(both.count.rate, 1.0)) if both.count else Score(None, both.reason)
        found.append(ScoreRow(str(n), system, None, {"wer": entry}, transcripts=both))
    return found


def scores(**systems):
    found = [row for system, pairs in systems.items() for row in rows(system, *pairs)]
    return Scores(tuple(systems), ("wer",), tuple(found), "fake 1", "clean")


# --- the metrics ------------------------------------------------------------------------------------------


def test_t1_is_computed_from_stoi_and_wer():
    clean = voice(1.5)
    estimate = noisy(clean, 5)
    both = score(clean, estimate, ("stoi", "wer", "t1"), transcripts_of("a b c d", "a b c"))
    assert both["wer"].value == 0.25
    assert both["t1"].value == (both["stoi"].value + 0.75) / 2
    many = score(clean, estimate, ("stoi", "wer", "t1"), transcripts_of("a", "b c d"))
    assert many["wer"].value == 1  # clipped
    assert many["t1"].value == many["stoi"].value / 2


def test_clips_without_words_have_no_wer_and_no_t1():
    clean = voice(1.5)
    found = score(clean, noisy(clean, 5), ("stoi", "wer", "t1"), transcripts_of("", "a"))
    assert found["stoi"].value is not None
    assert found["wer"] == found["t1"] == Score(None, "the reference has no words")


def test_wer_is_computed_for_a_silent_estimate():
    clean = voice(1.5)
    found = score(clean, 0 * clean, ("stoi", "wer", "t1"), transcripts_of("a b", ""))
    assert found["wer"].value == 1  # silence loses every word
    assert found["stoi"] == found["t1"] == Score(None, "the estimate is silent")
    assert score(clean, 0 * clean, ("wer",))["wer"].value is None


def test_word_metrics_require_a_recogniser():
    with pytest.raises(MetricError, match="--recogniser pocketsphinx"):
        choose(("si_sdr", "wer"))
    assert score(voice(1), voice(1), ("t1",))["t1"] == Score(None, "there is no transcript")
    assert choose(("si_sdr",), recogniser=True) == ("si_sdr", "wer")
    assert choose(("t1", "wer"), recogniser=True) == ("t1", "wer")


def test_a_missing_package_is_named(monkeypatch):
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None if name == "jiwer" else name)
    with pytest.raises(MissingExtraError) as caught:
        choose(("wer",), recogniser=True)
    assert caught.value.extra == "asr"


def test_a_missing_estimate_has_no_score(tmp_path, monkeypatch):
    install(monkeypatch, {5000: "a"})
    item = Item(
        "1", clip(tmp_path / "c.wav", 5000), {"b": tmp_path / "absent.wav"}, problems={"a": "not made"}
    )
    found = score_pairs([item], ("wer",), 1, True, AsrConfig("fake"))
    reasons = {row.system: row.scores["wer"].reason for row in found.rows}
    assert reasons == {"b": "the estimate: there is no such file", "a": "not made"}
    assert summarise(found).means["b"]["wer"].interval is None
    assert [line["reason"] for line in table_of(found)] == list(reasons.values())


# --- the corpus -------------------------------------------------------------------------------------------

NOISY = (("a b", "a b"), ("a b c d e f g h", "x x x x x x x x"), ("", "a"), "not recognised")
MINE = (("a b", ""), ("a b c d e f g h", "a b c d e f g h i j"), ("", ""), ("a", "b c d"))


def test_errors_are_summed():
    words = summarise(scores(noisy=NOISY, mine=MINE)).words
    ours, theirs = words.corpus["mine"], words.corpus["noisy"]
    assert (theirs.words, theirs.substitutions, theirs.recordings, theirs.empty_transcripts) == (10, 8, 2, 0)
    assert theirs.rate.mean == 0.8
    assert (ours.words, ours.substitutions, ours.deletions, ours.insertions) == (11, 1, 2, 4)
    assert ours.rate.mean == pytest.approx(7 / 11)
    assert (ours.recordings, ours.empty_transcripts) == (3, 1)
    # over the two recordings that both have: (2 − 0) + (2 − 8) errors of 10 words
    assert words.differences["mine"].mean == pytest.approx(-0.4)
    assert words.differences["mine"].count == 2


def test_mean_wer_clips_rates_and_counts_missing_values():
    means = summarise(scores(noisy=NOISY, mine=MINE)).means
    assert means["mine"]["wer"].interval.mean == pytest.approx((1 + 0.25 + 1) / 3)
    assert means["mine"]["wer"].reasons == {"the reference has no words": 1}
    assert means["noisy"]["wer"].reasons == {"the reference has no words": 1, "not recognised": 1}


def test_the_interval_of_a_ratio():
    equal = ratio([1, 1, 1, 1], [4, 4, 4, 4])
    assert (equal.mean, equal.low, equal.high) == (0.25, 0.25, 0.25)
    spread = ratio([0, 10], [1, 19])  # resamples are 0/2, 10/20 and 20/38
    assert (spread.mean, spread.low, spread.high) == (0.5, 0.0, pytest.approx(20 / 38))
    values = [0.3, 0.1, 0.8, 0.2]
    assert ratio(values, [1] * 4, seed=3) == bootstrap(values, seed=3)


# --- warnings ---------------------------------------------------------------------------------------------

GOOD, BAD = ("a b c d", "a b c d"), ("a b c d", "a b")


def test_a_higher_wer_than_the_input_is_a_warning():
    found = summarise(scores(noisy=[GOOD] * 20, mine=[BAD] * 15 + [GOOD] * 5, same=[GOOD] * 20))
    (line,) = warnings(found)
    assert line.startswith("mine: raises the WER: mean +37.50 [+")
    assert line in notes(found)


def test_a_lower_wer_than_the_input_is_no_warning():
    assert not warnings(summarise(scores(noisy=[BAD] * 9, mine=[GOOD] * 9)))


def test_an_insignificant_difference_is_reported_as_such():
    found = summarise(scores(noisy=[GOOD, BAD, GOOD], mine=[BAD, GOOD, BAD]))
    (line,) = warnings(found)
    assert "not statistically significant" in line


def test_words_repeated_without_end_raise_the_corpus_wer_alone():
    found = summarise(scores(noisy=[BAD] * 6, mine=[GOOD] * 5 + [("a b c d", "no " * 60)]))
    (line,) = warnings(found)
    assert line.startswith("mine: has a higher corpus WER, not statistically significant: mean -")


def test_the_wer_warning_compares_with_the_noisy_input():
    found = summarise(scores(noisy=[GOOD] * 9, mine=[BAD] * 9, other=[BAD] * 9), baseline="other")
    assert {line.partition(":")[0] for line in warnings(found)} == {"mine", "other"}
    assert not warnings(summarise(scores(mine=[BAD] * 9, other=[GOOD] * 9)))


# --- the reports ------------------------------------------------------------------------------------------


def table_of(found):
    return list(csv.DictReader(io.StringIO(transcripts_csv(found))))


def test_transcripts_are_written():
    lines = table_of(scores(noisy=NOISY))
    assert lines[0] == {
        "id": "0", "system": "noisy", "words": "2", "substitutions": "0", "deletions": "0", "insertions": "0",
        "reference": "a b", "hypothesis": "a b", "reason": "",
    }  # fmt: skip
    assert [line["reason"] for line in lines] == ["", "", "the reference has no words", "not recognised"]


def test_reports_show_both_rates_and_their_direction(tmp_path):
    found = scores(noisy=NOISY, mine=MINE)
    summary = summarise(found)
    text = markdown(summary)
    assert "| system | WER % ↓ |" in text
    assert "Recogniser: fake 1; the reference is its transcript of the clean recording." in text
    assert "| system | corpus WER % ↓ | difference from noisy | words |" in text
    assert "| noisy | 80.00 [" in text
    assert "| -40.00 [" in text
    assert r"WER \% $\downarrow$" in latex(summary)
    data = json.loads(json.dumps(json_values(summary), allow_nan=False))
    assert data["words"]["corpus"]["mine"]["insertions"] == 4
    write_report(found, summary, tmp_path)
    assert (tmp_path / "transcripts.csv").read_text() == transcripts_csv(found)


def test_without_a_recogniser_reports_have_no_wer(tmp_path):
    plainly = Scores(("a",), ("snr",), (ScoreRow("1", "a", None, {"snr": Score(1.0)}),))
    summary = summarise(plainly)
    assert summary.words is None
    assert "Word" not in markdown(summary)
    write_report(plainly, summary, tmp_path)
    assert not (tmp_path / "transcripts.csv").exists()


def test_distances_and_errors_are_better_when_lower():
    lower = {key for key, metric in METRICS.items() if metric.lower_is_better}
    assert lower == {"lsd", "lsd_high", "noise_high", "mcd", "wer"}
    assert METRICS["wer"].gain(0.1) == -0.1
    assert METRICS["t1"].gain(0.1) == 0.1
    assert heading("wer") == "WER % ↓"
    assert heading("si_sdr") == "SI-SDR dB"
