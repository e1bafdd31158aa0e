"""Transcripts of synthetic speech by pocketsphinx: correct words, fewer in noise, and deterministic."""

from __future__ import annotations

import importlib.util

import numpy as np
import pytest
import soundfile
from voices import noisy

from stillwave.data.demo.espeak import Voice, available, speak_in_process
from stillwave.evaluation import Item, score_pairs, summarise
from stillwave.evaluation.recognisers import load
from stillwave.evaluation.transcripts import AsrConfig
from stillwave.evaluation.wer import count

RATE = 16_000
TEXTS = (
    "the weather will be fine tomorrow morning",
    "please put the book on the table",
    "we are going to the station by train",
    "there are seven days in a week",
)

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(
        not available() or importlib.util.find_spec("pocketsphinx") is None,
        reason="the extras demo and asr are not installed",
    ),
]


@pytest.fixture(scope="module")
def items(tmp_path_factory):
    folder = tmp_path_factory.mktemp("spoken")
    lines = [(text, folder / f"{n}.wav") for n, text in enumerate(TEXTS)]
    speak_in_process(Voice("en-us", "m3", words_per_minute=140), lines, RATE)
    found = []
    for n, (text, file) in enumerate(lines):
        clean, _ = soundfile.read(file, dtype="float32")
        estimates = {}
        for name, snr_db in (("noisy", 0), ("better", 20)):
            estimates[name] = folder / f"{n}-{name}.wav"
            soundfile.write(estimates[name], noisy(clean, snr_db, n), RATE, subtype="FLOAT")
        found.append(Item(str(n), file, estimates, text=text))
    return found


def test_most_words_of_clean_synthetic_speech_are_recognised(items):
    recogniser = load("pocketsphinx")
    counts = []
    for item in items:
        samples, rate = soundfile.read(item.clean, dtype="float32")
        message = recogniser.transcribe(np.asarray(samples), rate)
        print(f"{item.text!r} is transcribed as {message!r}")
        counts.append(count(item.text, message))
    assert sum(c.errors for c in counts) / sum(c.words for c in counts) < 0.7  # chance is 0.9 and more


def test_noise_raises_the_wer_independently_of_order_and_processes(items):
    alone = score_pairs(items, ("stoi", "t1"), 1, quiet=True, asr=AsrConfig("pocketsphinx"))
    turned = score_pairs(items[::-1], ("stoi", "t1"), 2, quiet=True, asr=AsrConfig("pocketsphinx"))
    assert sorted(turned.rows, key=lambda row: (row.id, row.system != "noisy")) == list(alone.rows)
    words = summarise(alone).words
    assert words.corpus["better"].rate.mean < words.corpus["noisy"].rate.mean
    assert not words.raised
    means = summarise(alone).means
    assert means["better"]["t1"].interval.mean > means["noisy"]["t1"].interval.mean
