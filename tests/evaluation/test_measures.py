"""Metrics against values of the programs that define them, computed with their own code on the same signals.

Signals: `voice(2.0)`, and white noise at 10 dB added to it.
"""

from __future__ import annotations

import importlib.util
import sys
import types

import numpy as np
import pytest
from voices import RATE, noise, noisy, voice

from stillwave.errors import MetricError, MissingExtraError
from stillwave.evaluation import Item, Score, score, score_pairs
from stillwave.evaluation.cepstral import mcd
from stillwave.evaluation.full_band import FullBand
from stillwave.evaluation.log_spectral import lsd
from stillwave.evaluation.mel import mel_filters
from stillwave.evaluation.metrics import METRICS, NO_REFERENCE, choose
from stillwave.evaluation.transcripts import Transcript, TranscriptPair
from stillwave.evaluation.weighted_snr import weighted_snr


@pytest.fixture(scope="module")
def pair():
    clean = voice(2.0)
    return clean, noisy(clean, 10)


def test_mcd_equals_that_of_its_package(pair):
    # mel-cepstral-distance 0.0.4: compare_audio_files(clean, noisy, aligning="pad") of 32-bit WAV files
    assert mcd(*pair) == pytest.approx(10.38948, abs=1e-5)
    assert mcd(pair[0], 0.25 * pair[0]) == pytest.approx(0, abs=1e-6)


def test_weighted_snr_equals_that_of_pysepm(pair):
    # pysepm-evo 0.1.1, a translation of Loizou's comp_fwseg.m: fwSNRseg(clean, noisy, 16000)
    assert weighted_snr(*pair) == pytest.approx(6.9371438586, abs=1e-8)
    assert weighted_snr(pair[0], 3 * pair[0]) == pytest.approx(35)


def test_lsd_equals_that_of_the_challenge(pair):
    # urgent2025_challenge, evaluation_metrics/calculate_intrusive_se_metrics.py with librosa 0.11.0: 7.6477542333
    assert lsd(*pair, RATE) == pytest.approx(10 / np.log(10) * 7.6477542333, abs=1e-8)
    assert lsd(pair[0], -2 * pair[0], RATE) == pytest.approx(0, abs=0.01)


def test_lsd_uses_the_sampling_rate_of_the_files(pair):
    clean, estimate = pair
    band = FullBand(clean, estimate, 48_000)
    assert score(clean, estimate, ("lsd",), full_band=band)["lsd"].value == lsd(clean, estimate, 48_000)


def test_srmr_equals_that_of_its_program(pair):
    # SRMRpy (9ac2479) with gammatone 1.0.3: srmr(x, 16000, fast=False)
    pytest.importorskip("scipy")
    found = [score(pair[0], x, ("srmr",))["srmr"].value for x in pair]
    assert found == pytest.approx([1.8631534923, 1.7414919325], abs=1e-8)
    assert "too short for SRMR" in score(pair[0][:4000], pair[0][:4000], ("srmr",))["srmr"].reason


def test_p808_equals_that_of_its_package():
    pytest.importorskip("speechmos")
    estimate = noisy(voice(2.0), 10)
    estimate /= 2 * np.abs(estimate).max()
    # speechmos 0.0.1.1 with librosa 0.11.0: dnsmos.run(estimate, sr=16000)["p808_mos"]
    found = score(voice(2.0), estimate, ("dnsmos_p808",))["dnsmos_p808"].value
    assert found == pytest.approx(2.3150733, abs=1e-5)


def test_mel_filters_are_librosas():
    filters = mel_filters(400, 40)
    assert filters.shape == (40, 201)
    # librosa 0.11.0: filters.mel(sr=16000, n_fft=400, n_mels=40)
    assert filters.max() == pytest.approx(0.01332995, abs=1e-8)
    assert np.flatnonzero(filters[0])[[0, -1]].tolist() == [1, 3]


@pytest.mark.skipif(importlib.util.find_spec("resemblyzer") is None, reason="resemblyzer is not installed")
@pytest.mark.parametrize(("seconds", "expected"), [(1.0, 0.79215157), (2.0, 0.69911063), (4.3, 0.67976165)])
def test_speaker_similarity_equals_that_of_its_package(seconds, expected):
    # Resemblyzer 0.1.4: VoiceEncoder("cpu").embed_utterance of both, their inner product
    pytest.importorskip("torch")
    clean = voice(seconds)
    found = score(clean, noisy(clean, 10), ("speaker",))["speaker"].value
    assert found == pytest.approx(expected, abs=1e-5)


@pytest.mark.slow
@pytest.mark.skipif(
    importlib.util.find_spec("distillmos") is None or importlib.util.find_spec("torchaudio") is None,
    reason="distillmos and torchaudio are not installed",
)
def test_distillmos_equals_that_of_its_package(pair):
    # distillmos 0.9.1: ConvTransformerSQAModel().eval() of both signals
    found = [score(pair[0], x, ("distillmos",))["distillmos"].value for x in pair]
    assert found == pytest.approx([1.6973, 2.4235], abs=1e-3)


def test_distillmos_is_given_the_estimate(monkeypatch):
    torch = pytest.importorskip("torch")
    module = types.ModuleType("distillmos")

    class ConvTransformerSQAModel(torch.nn.Module):
        def __init__(self):
            super().__init__()
            print("weights loaded")

        def forward(self, x):
            return x.sum().reshape(1, 1)

    module.ConvTransformerSQAModel = ConvTransformerSQAModel
    monkeypatch.setitem(sys.modules, "distillmos", module)
    from stillwave.evaluation import distillmos as own

    own._network.cache_clear()
    try:
        clean = voice(1)
        value = score(clean, 1 + clean, ("distillmos",))["distillmos"].value
        assert value == pytest.approx(float((1 + clean).sum()), rel=1e-5)
    finally:
        own._network.cache_clear()


def words(reference, hypothesis):
    pytest.importorskip("espeakng_loader")
    pytest.importorskip("jiwer")
    both = TranscriptPair(Transcript(reference), Transcript(hypothesis))
    return score(voice(1), voice(1), ("phonemes",), both)["phonemes"]


def test_words_that_sound_alike_have_the_same_phonemes():
    # espeak-ng 1.52: there two knights = their too nights: ðɛɹ tuː naɪts
    assert words("there two knights", "Their too nights!") == Score(1.0)
    assert words("cat", "hat").value == pytest.approx(2 / 3)  # k æ t, h æ t
    assert words("cat", "").value == 0
    assert words("cat", "a very long sentence of other words").value == 0  # limited
    assert words("…", "a") == Score(None, "the reference has no words")


def test_recordings_without_a_reference_have_metrics_that_need_none(tmp_path):
    pytest.importorskip("scipy")
    from stillwave.audio import write

    write(tmp_path / "a.wav", voice(1)[None], RATE)
    item = Item("a", None, {"mine": tmp_path / "a.wav", "gone": tmp_path / "gone.wav"})
    rows = score_pairs([item], ("srmr", "snr"), 1, True).rows
    found = {row.system: row.scores for row in rows}
    assert found["mine"]["srmr"].value == pytest.approx(
        score(voice(1), voice(1), ("srmr",))["srmr"].value, rel=1e-3
    )
    assert found["mine"]["snr"] == Score(None, "there is no clean file of this name")
    assert found["gone"]["srmr"] == Score(None, "the estimate: there is no such file")
    assert not any(METRICS[key].reference for key in NO_REFERENCE)


def test_a_silent_recording_without_a_reference_has_a_reason(tmp_path):
    from stillwave.audio import write

    write(tmp_path / "a.wav", 0 * voice(1)[None], RATE)
    (row,) = score_pairs([Item("a", None, {"mine": tmp_path / "a.wav"})], ("srmr",), 1, True).rows
    assert row.scores["srmr"] == Score(None, "the estimate is silent")


def test_what_is_not_available_is_named_with_its_reason(monkeypatch):
    with pytest.raises(MetricError, match=r"'utmos' is not available: its package downloads its weights"):
        choose(["utmos"])
    monkeypatch.setattr(
        "importlib.util.find_spec", lambda name: None if name in ("resemblyzer", "torch") else name
    )
    with pytest.raises(MissingExtraError, match="'train'"):
        choose(["speaker"])
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None if name == "resemblyzer" else name)
    with pytest.raises(MetricError, match="pip install --no-deps resemblyzer"):
        choose(["speaker"])


@pytest.mark.parametrize("key", ["fwsegsnr", "lsd", "mcd"])
def test_more_noise_is_worse(key):
    clean = voice(1)
    little, much = (score(clean, noisy(clean, snr_db), (key,))[key].value for snr_db in (25, 5))
    assert METRICS[key].gain(little - much) > 0


def test_a_shorter_signal_than_a_frame_has_a_reason():
    short = noise(300)
    assert "too short for MCD" in score(short, -short, ("mcd",))["mcd"].reason
