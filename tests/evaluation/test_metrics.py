"""Metrics against values worked by hand, and every fault against its reason."""

from __future__ import annotations

import importlib.util

import numpy as np
import pytest
from voices import RATE, noise, noisy, voice

from stillwave.errors import MissingExtraError
from stillwave.evaluation import DEFAULT, METRICS, MetricError, score
from stillwave.evaluation.metrics import aligned, choose
from stillwave.evaluation.pesq import most_utterances, too_many
from stillwave.evaluation.sdr import si_sdr, snr


def one(key, clean, estimate):
    return score(clean, estimate, (key,))[key]


def test_identical_signals_reach_the_top_of_every_scale():
    clean = voice()
    found = score(clean, clean.copy(), DEFAULT)
    assert found["pesq_wb"].value == pytest.approx(4.644, abs=5e-4)  # the ceilings of P.862.2 and P.862.1
    assert found["pesq_nb"].value == pytest.approx(4.549, abs=5e-4)
    assert found["stoi"].value == pytest.approx(1)
    assert found["estoi"].value == pytest.approx(1)
    assert [found[key].value for key in ("csig", "cbak", "covl")] == [5, 5, 5]
    assert found["si_sdr"] == (None, "the estimate equals the reference: SI-SDR is infinite")


@pytest.mark.parametrize("key", [*DEFAULT, "snr"])
def test_more_noise_is_worse(key):
    clean = voice()
    little, much = (one(key, clean, noisy(clean, snr_db)).value for snr_db in (25, 5))
    assert little > much


def test_si_sdr_by_hand():
    clean = np.array([1, -1, 1, -1], dtype=np.float32)
    estimate = np.array(
        [1, -1, 2, -2], dtype=np.float32
    )  # 1.5 × clean + (−0.5, 0.5, 0.5, −0.5): energies 9 and 1
    assert si_sdr(clean, estimate) == pytest.approx(10 * np.log10(9))


@pytest.mark.parametrize("change", [lambda e: 4 * e, lambda e: -0.25 * e, lambda e: e + 0.5])
def test_si_sdr_is_invariant_to_scale_polarity_and_offset(change):
    clean = voice()
    estimate = noisy(clean, 7).astype(np.float64)
    assert si_sdr(clean, change(estimate)) == pytest.approx(si_sdr(clean, estimate), abs=1e-9)


@pytest.mark.parametrize(
    ("clean", "estimate", "reason"),
    [
        ([1, 1, 1, 1], [1, 2, 3, 4], "the reference is constant"),
        ([1, -1, 1, -1], [1, 1, 1, 1], "uncorrelated with the reference"),
        ([1, -1, 1, -1], [1, 1, -1, -1], "uncorrelated with the reference"),
        ([1, -1, 1, -1], [-3, 3, -3, 3], "equals the reference"),
    ],
)
def test_si_sdr_without_a_value(clean, estimate, reason):
    found = one("si_sdr", np.array(clean, np.float32), np.array(estimate, np.float32))
    assert found.value is None
    assert reason in found.reason


@pytest.mark.parametrize("snr_db", [-5, 0, 12.5, 40])
def test_snr_is_that_of_the_noise_added(snr_db):
    clean = voice()
    assert snr(clean, noisy(clean, snr_db)) == pytest.approx(snr_db, abs=1e-3)


def test_snr_depends_on_scale_and_sign():
    clean = voice()
    assert snr(clean, -clean) == pytest.approx(-20 * np.log10(2))
    assert snr(clean, 0.5 * clean) == pytest.approx(20 * np.log10(2))
    assert one("snr", clean, clean).reason == "the estimate equals the reference: SNR is infinite"


def test_inverted_polarity_is_detected_reliably():
    clean = voice()
    assert aligned(clean, -noisy(clean, -5)) == (0, True)
    assert aligned(clean, noisy(clean, -5)) == (0, False)
    unrelated = [aligned(clean, noise(len(clean), seed)) for seed in range(20)]
    assert set(unrelated) == {(0, False)}
    assert aligned(clean, -clean[1:]) == (0, False)  # of another length: no metric compares them


@pytest.mark.parametrize("lag", [1, 13, 40, 80, 511, 1725, 7000, -40])
@pytest.mark.parametrize("sign", [1, -1])
@pytest.mark.parametrize("snr_db", [0, 20])
def test_a_delayed_estimate_is_not_reported_as_inverted(lag, sign, snr_db):
    clean = voice(2.0)
    estimate = sign * np.roll(noisy(clean, snr_db), lag)
    found = aligned(clean, estimate)
    assert found.inverted == (sign < 0)
    assert found.lag == lag or (lag == 1 and snr_db == 0)  # a sample is less than that noise


def test_polarity_is_correct_for_lags_up_to_a_pitch_period():
    clean = voice(1.0)
    signs = {lag: aligned(clean, np.roll(noisy(clean, -3), lag)).inverted for lag in range(0, 160, 3)}
    assert not any(signs.values())


def replaced(signal, value):
    bad = signal.copy()
    bad[7] = value
    return bad


@pytest.mark.parametrize(
    ("clean", "estimate", "reason"),
    [
        (np.zeros(RATE, np.float32), voice(1), "the reference is silent"),
        (voice(1), np.full(RATE, 9e-5, np.float32), "the estimate is silent"),
        (replaced(voice(1), np.nan), voice(1), "the reference contains NaN or infinity"),
        (voice(1), replaced(voice(1), -np.inf), "the estimate contains NaN or infinity"),
        (voice(1), voice(1)[:0], "the estimate is empty"),
        (voice(1), voice(1)[:-1], "lengths differ: 16000 samples of reference, 15999 of estimate"),
        (voice(1), np.stack([voice(1)] * 2), "the estimate has 2 channels; mono is required"),
    ],
)
def test_faults_of_the_signals_are_the_reason_of_every_metric(clean, estimate, reason):
    found = score(clean, estimate, ("pesq_wb", "estoi", "si_sdr", "cbak"))
    assert set(found.values()) == {(None, reason)}


def test_a_signal_too_short_for_one_metric_is_scored_by_others():
    clean = voice()[4_000:7_000]
    found = score(clean, noisy(clean, 10), DEFAULT)
    assert found["pesq_wb"].reason == "too short for PESQ (at least 0.25 s)"
    assert found["csig"].reason == found["pesq_wb"].reason
    assert found["stoi"].reason.startswith("too short for STOI")
    assert found["estoi"].reason.startswith("too short for STOI")
    assert found["si_sdr"].value is not None
    one_sample = score(clean[:1], clean[1:2], DEFAULT)
    assert all(entry.value is None and entry.reason for entry in one_sample.values())


def test_an_exception_of_a_metric_is_recorded_as_the_reason(monkeypatch):
    def fail(*_):
        raise RuntimeError("two\n  lines")

    monkeypatch.setattr("stillwave.evaluation.metric_table.pesq", fail)
    clean = voice(1)
    assert one("pesq_nb", clean, clean) == (None, "RuntimeError: two lines")
    monkeypatch.setattr("stillwave.evaluation.metric_table.pesq", lambda *_: float("nan"))
    assert one("pesq_nb", clean, clean) == (None, "is nan")


def words(count):
    """Words of 300 ms with pauses of 300 ms: as many utterances."""
    gate = (np.arange(count * 9_600) // 4_800) % 2 == 0
    return voice(count * 0.6) * gate


def test_utterances_are_counted():
    assert most_utterances(words(7)) == 7
    assert most_utterances(np.zeros(RATE, np.float32)) == 0
    assert most_utterances(np.sin(np.arange(30 * RATE, dtype=np.float32))) <= 1


def test_inconsistent_pesq_values_are_missing_scores(monkeypatch):
    """It was seen to give 4.28 to an estimate without speech, and 2.36 to the same from its 101st sample on."""
    import pesq

    clean, other = voice(), noise(2 * RATE)
    assert len(clean) == len(other)
    values = {len(clean): 4.28, len(clean) - 100: 2.36}
    monkeypatch.setattr(pesq, "pesq", lambda rate, reference, estimate, mode: values[len(estimate)])
    assert one("pesq_wb", clean, other) == (
        None,
        "PESQ cannot align the signals: 4.28, but 2.36 without the first 100 samples",
    )
    assert one("pesq_wb", clean, clean + 0.01 * other).value == 4.28, (
        "what resembles the reference may be good"
    )
    values[len(clean) - 100] = 4.1
    assert one("pesq_wb", clean, other).value == 4.28


def test_a_delay_does_not_make_pesq_inconsistent():
    """PESQ takes it out; SI-SDR, of which the second look depends, falls below zero."""
    clean = voice()
    late = np.roll(clean, 200)
    assert one("si_sdr", clean, late).value < 0
    assert one("pesq_wb", clean, late).value > 3


def test_signals_too_long_for_pesq_are_not_scored():
    assert not too_many(words(40))
    clean = words(60)
    assert too_many(clean)
    found = score(clean, noisy(clean, 20), ("pesq_wb", "si_sdr"))
    assert found["pesq_wb"] == (None, "too long for PESQ (at most 50 utterances); score it in parts")
    assert found["si_sdr"].value is not None


def test_estoi_is_deterministic_and_keeps_the_global_random_state():
    clean = voice()
    estimate = noisy(clean, 3)
    np.random.seed(5)
    expected = np.random.standard_normal(3)
    np.random.seed(5)
    first, second = (one("estoi", clean, estimate) for _ in range(2))
    assert first == second
    assert np.array_equal(np.random.standard_normal(3), expected)


def test_an_unknown_metric_names_the_nearest():
    with pytest.raises(MetricError, match=r"'pesq'.*'pesq_wb' or 'pesq_nb'"):
        choose(["stoi", "pesq"])
    assert choose(["stoi", "snr", "stoi"]) == ("stoi", "snr")


def test_a_missing_package_is_named_with_its_extra(monkeypatch):
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    with pytest.raises(MissingExtraError) as caught:
        choose(["dnsmos_sig"])
    assert caught.value.extra == "eval"
    assert choose(["si_sdr"]) == ("si_sdr",)


def test_default_metrics_exist():
    assert set(DEFAULT) < set(METRICS)


@pytest.mark.slow
def test_dnsmos():
    pytest.importorskip("speechmos")
    keys = ("dnsmos_sig", "dnsmos_bak", "dnsmos_ovrl")
    clean = voice(3)
    good, bad = (score(clean, e, keys) for e in (clean, noisy(clean, 0)))
    assert all(1 <= entry.value <= 5 for entry in (*good.values(), *bad.values()))
    assert good["dnsmos_bak"].value > bad["dnsmos_bak"].value
    loud = clean / np.abs(clean).max()
    assert score(clean, 3 * loud, keys)["dnsmos_ovrl"].value == pytest.approx(
        score(clean, loud, keys)["dnsmos_ovrl"].value, abs=1e-4
    )  # beyond ±1: scaled to a peak of 1
