"""Transcription of files: each once, errors as reasons, independent of order and processes."""

from __future__ import annotations

import pytest
from fake_recognisers import clip, install, program

from stillwave.errors import StillwaveError
from stillwave.evaluation import Item, score_pairs
from stillwave.evaluation.recognisers import RecogniserError
from stillwave.evaluation.transcripts import (
    AsrConfig,
    Transcript,
    TranscriptPair,
    transcribe_all,
    transcribe_file,
)

FAKE = AsrConfig("fake")


def item(folder, name, clean, text="", **systems):
    """Lengths in samples become files."""
    return Item(
        name,
        clip(folder / "clean" / f"{name}.wav", clean),
        {s: clip(folder / s / f"{name}.wav", length) for s, length in systems.items()},
        text=text,
    )


def test_each_file_is_transcribed_once(tmp_path, monkeypatch):
    fake = install(monkeypatch, {5000: "a b", 5001: "a x", 5002: ""})
    items = [item(tmp_path, "1", 5000, a=5001, b=5002)]
    pairs = transcribe_all(items, FAKE, 1, quiet=True)
    assert fake.asked == [5000, 5001, 5002]
    assert pairs["1", "a"].count.errors == 1
    assert pairs["1", "b"].count.rate == 1


def test_texts_replace_pairs_the_reference(tmp_path, monkeypatch):
    fake = install(monkeypatch, {5001: "a b"})
    items = [item(tmp_path, "1", 5000, "A B C", a=5001), item(tmp_path, "2", 5000, a=5001)]
    pairs = transcribe_all(items, AsrConfig("fake", "texts"), 1, quiet=True)
    assert 5000 not in fake.asked
    assert pairs["1", "a"].count.deletions == 1
    assert pairs["2", "a"].count is None
    assert pairs["2", "a"].reason == "the reference text is not known"


def test_texts_of_no_recording_are_refused(tmp_path, monkeypatch):
    install(monkeypatch, {})
    with pytest.raises(StillwaveError, match=r"--references texts: .*1 recordings.*'text'.*NAME\.txt"):
        transcribe_all([item(tmp_path, "1", 5000, a=5001)], AsrConfig("fake", "texts"), 1)
    with pytest.raises(StillwaveError, match=r"--references truth: .*clean or texts$"):
        transcribe_all([item(tmp_path, "1", 5000, a=5001)], AsrConfig("fake", "truth"), 1)


def test_failures_are_reasons_and_equal_ones_are_counted_together(tmp_path, monkeypatch):
    install(monkeypatch, {5000: "a", 5001: RuntimeError("out of\n words"), 5002: KeyError()})
    for length, reason in ((5001, "not recognised (out of words)"), (5002, "not recognised (KeyError)")):
        assert transcribe_file(clip(tmp_path / "x.wav", length), "fake") == Transcript(None, reason)
    assert transcribe_file(tmp_path / "absent.wav", "fake").reason == "there is no such file"
    assert (
        transcribe_file(clip(tmp_path / "two.wav", 5000, 2), "fake").reason
        == "has 2 channels; mono is required"
    )
    text = tmp_path / "text.wav"
    text.write_text("no audio")
    assert transcribe_file(text, "fake").text is None
    assert str(tmp_path) not in transcribe_file(text, "fake").reason


def test_an_unusable_recogniser_ends_the_evaluation(tmp_path, monkeypatch):
    install(monkeypatch, {5000: RecogniserError("no weights")})
    with pytest.raises(RecogniserError, match="no weights"):
        transcribe_file(clip(tmp_path / "x.wav", 5000), "fake")


def test_silence_has_no_words_and_is_not_transcribed(tmp_path, monkeypatch):
    fake = install(monkeypatch, {5000: "it"})
    assert transcribe_file(clip(tmp_path / "x.wav", 5000, level=1e-6), "fake").text == ""
    assert not fake.asked


@pytest.mark.parametrize(
    ("reference", "hypothesis", "reason"),
    [
        (("a b", None), ("a", None), None),
        (("", None), ("a", None), "the reference has no words"),
        ((" . ", None), ("", None), "the reference has no words"),
        ((None, "bad"), ("a", None), "bad"),
        (("a", None), (None, "worse"), "worse"),
        ((None, "bad"), (None, "worse"), "bad"),
    ],
)
def test_a_pair_has_a_count_or_a_reason(reference, hypothesis, reason):
    pair = TranscriptPair(Transcript(*reference), Transcript(*hypothesis))
    assert pair.reason == reason
    assert (pair.count is None) == (reason is not None)


LINE = """
if frames == 5003: sys.exit("cannot")
print({5000: "one two three", 5001: "one two", 5002: ""}.get(frames, "four"))
"""


def test_results_do_not_depend_on_order_or_processes(tmp_path):
    line = program(tmp_path / "asr.py", LINE)
    items = [
        item(tmp_path, "1", 5000, a=5001, b=5002),
        item(tmp_path, "2", 5000, a=5003, b=5000),
        item(tmp_path, "3", 5002, a=5000, b=5001),
    ]
    alone, together, turned = (
        score_pairs(order, ("wer",), jobs, quiet=True, asr=AsrConfig(line))
        for order, jobs in ((items, 1), (items, 2), (items[::-1], 2))
    )
    assert alone == together
    assert sorted(turned.rows, key=lambda row: (row.id, row.system)) == list(alone.rows)
    found = {(row.id, row.system): row.scores["wer"] for row in alone.rows}
    assert found["1", "a"].value == pytest.approx(1 / 3)
    assert found["1", "b"].value == 1  # an empty transcript
    assert found["2", "b"].value == 0
    assert "ended with exit code 1: cannot" in found["2", "a"].reason
    assert {found["3", s].reason for s in "ab"} == {"the reference has no words"}
    assert alone.recogniser == line
