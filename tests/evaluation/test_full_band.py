"""Metrics above 8 kHz against values worked by hand, and every missing value against its reason."""

from __future__ import annotations

import numpy as np
import pytest
import soundfile
from voices import noise, noisy, voice

from stillwave.audio import resample
from stillwave.evaluation import Item, score, score_pairs, summarise
from stillwave.evaluation.full_band import FullBand
from stillwave.evaluation.scoring import score_file

RATE = 48_000
KEYS = ("si_sdr_full", "lsd_high", "noise_high")
HALF = 20 * np.log10(2)


def one(key, clean, estimate, rate=RATE, **more):
    full_band = FullBand(clean, estimate, rate, **more)
    return score(clean, estimate, (key,), full_band=full_band)[key]


def scaled(signal, gain, low, high=1e9, rate=RATE):
    """The signal with the band from `low` to `high` Hz times `gain`."""
    spectrum = np.fft.rfft(signal.astype(np.float64))
    frequencies = np.fft.rfftfreq(len(signal), 1 / rate)
    spectrum[(frequencies >= low) & (frequencies < high)] *= gain
    return np.fft.irfft(spectrum, len(signal)).astype(np.float32)


def hiss(seconds=1.0, seed=0, rate=RATE):
    return 0.05 * noise(round(seconds * rate), seed)


def in_words(signal, rate=RATE):
    """The signal with every second half-second digitally silent."""
    return signal * (np.arange(len(signal)) // (rate // 2) % 2 == 0)


# --- log-spectral distance --------------------------------------------------------------------------------


@pytest.mark.parametrize("rate", [22_050, 32_000, 44_100, 48_000, 96_000])
def test_half_the_treble_is_a_distance_of_6_db(rate):
    clean = hiss(rate=rate)
    found = one("lsd_high", clean, scaled(clean, 0.5, 7_500, rate=rate), rate)
    assert found.value == pytest.approx(HALF, abs=0.01)


@pytest.mark.parametrize("gain", [2, -1, -0.5])
def test_the_distance_is_that_of_levels_in_either_direction_and_polarity(gain):
    clean = hiss()
    assert one("lsd_high", clean, gain * clean).value == pytest.approx(
        abs(20 * np.log10(abs(gain))), abs=0.01
    )


def test_equal_signals_have_no_distance():
    assert one("lsd_high", hiss(), hiss()).value == 0


def test_the_band_below_8_khz_does_not_count():
    clean = hiss()
    assert one("lsd_high", clean, scaled(clean, 0.1, 0, 7_500)).value == pytest.approx(0, abs=0.01)


def test_bins_are_averaged_as_squares():
    clean = hiss()
    half_of_the_bins = scaled(clean, 0.25, 16_000)  # 12.04 dB in half of 8 … 24 kHz
    assert one("lsd_high", clean, half_of_the_bins).value == pytest.approx(2 * HALF / np.sqrt(2), abs=0.05)


def test_frames_are_averaged():
    clean = hiss(4)
    second_half = clean * np.where(np.arange(len(clean)) < len(clean) / 2, 1, 0.25).astype(np.float32)
    assert one("lsd_high", clean, second_half).value == pytest.approx(HALF, abs=0.1)


def test_an_estimate_without_treble_has_the_distance_to_the_floor():
    """The power of a bin of white noise in dB has a mean of −2.51 and a deviation of 5.57; the floor is at −40."""
    clean = hiss(2)
    found = one("lsd_high", clean, scaled(clean, 0, 7_500))
    assert found.value == pytest.approx(np.hypot(40 - 2.51, 5.57), abs=0.1)


def test_what_is_below_the_floor_in_both_signals_is_equal():
    clean = in_words(hiss(2))
    faint = 10 ** (-60 / 20) * hiss(2, seed=1)  # 57 dB below the mean of the words and the pauses
    assert one("lsd_high", clean, clean + faint).value < 0.1


def test_the_distance_does_not_depend_on_the_common_level():
    clean, estimate = hiss(), hiss() + 0.3 * hiss(seed=1)
    quiet, loud = (one("lsd_high", g * clean, g * estimate).value for g in (0.05, 3))
    assert quiet == pytest.approx(loud, rel=1e-5)


# --- noise in pauses --------------------------------------------------------------------------------------


@pytest.mark.parametrize(("gain", "level"), [(1, 0), (0.5, -HALF), (0.1, -20), (2, HALF)])
@pytest.mark.parametrize("rate", [44_100, 48_000])
def test_noise_in_pauses_is_relative_to_the_noisy_input(gain, level, rate):
    clean, added = in_words(hiss(2, rate=rate), rate), 0.5 * hiss(2, 1, rate)
    found = one("noise_high", clean, clean + gain * added, rate, noisy=clean + added)
    assert found.value == pytest.approx(level, abs=0.05)


def test_an_estimate_without_treble_has_the_lowest_level():
    clean, added = in_words(hiss(2)), 0.5 * hiss(2, 1)
    for estimate in (scaled(clean + added, 0, 7_500), scaled(clean + added, 1e-4, 7_500)):
        assert one("noise_high", clean, estimate, noisy=clean + added).value == pytest.approx(-60, abs=1e-3)


def test_noise_in_words_and_below_8_khz_does_not_count():
    clean, added = in_words(hiss(2)), 0.5 * hiss(2, 1)
    estimate = clean + 0.5 * added
    assert one("noise_high", clean, estimate + in_words(added), noisy=clean + added).value == pytest.approx(
        one("noise_high", clean, estimate, noisy=clean + added).value, abs=0.2
    )
    low = scaled(hiss(2, 2), 0, 7_500)
    assert one("noise_high", clean, estimate + low, noisy=clean + added).value == pytest.approx(
        -HALF, abs=0.05
    )


# --- values that are missing ------------------------------------------------------------------------------


@pytest.mark.parametrize("key", ["lsd_high", "noise_high"])
def test_a_low_sampling_rate_is_a_reason(key):
    clean = voice(1)
    reason = "a sampling rate of 16000 Hz is too low for scores above 8 kHz"
    assert one(key, clean, noisy(clean, 10), 16_000, noisy=clean) == (None, reason)
    assert score(clean, noisy(clean, 10), (key,))[key] == (None, reason)  # signals at 16 kHz alone


def test_a_reference_without_treble_is_a_reason():
    upsampled = resample(voice(1)[None], 16_000, RATE)[0]
    rounded = (np.round(upsampled * 2**15) / 2**15).astype(np.float32)
    for clean in (upsampled, rounded):
        found = one("lsd_high", clean, clean + hiss())
        assert found == (None, "the reference has nothing above 8 kHz")


def test_missing_pauses_and_noise_are_reasons():
    clean, words = hiss(), in_words(hiss())
    cases = (
        (clean, {"noisy": clean}, "the reference has less than 0.1 s of pauses"),
        (words, {}, "there is no noisy input; give it with --noisy or --on"),
        (words, {"noisy": "the noisy input: no such file"}, "the noisy input: no such file"),
        (words, {"noisy": words}, "the noisy input has nothing above 8 kHz in pauses of the reference"),
        (words, {"noisy": words[:-1]}, "lengths differ: 48000 samples of reference, 47999 of noisy input"),
    )
    for reference, more, reason in cases:
        assert one("noise_high", reference, reference + 0.1 * hiss(seed=1), **more) == (None, reason)


def test_a_short_recording_is_a_reason():
    clean = hiss()[:2047]
    assert one("lsd_high", clean, clean) == (None, "too short for scores above 8 kHz (at least 2048 samples)")


# --- files ------------------------------------------------------------------------------------------------


@pytest.fixture
def item(tmp_path):
    """Words at 48 kHz with treble; `noisy` has twice the noise of `a`."""
    clean = resample(voice(2)[None], 16_000, RATE)[0] + in_words(0.2 * hiss(2))
    clean = in_words(clean)
    added = 0.1 * hiss(2, 1)
    signals = {"clean": clean, "noisy": clean + added, "a": clean + 0.5 * added}
    for name, samples in signals.items():
        soundfile.write(tmp_path / f"{name}.wav", samples, RATE, subtype="FLOAT")
    return Item("x", tmp_path / "clean.wav", {n: tmp_path / f"{n}.wav" for n in ("noisy", "a")})


def test_files_are_scored_at_their_own_rate(item):
    found = {system: score_file(item, system, KEYS).scores for system in ("noisy", "a")}
    assert found["noisy"]["noise_high"].value == 0
    assert found["a"]["noise_high"].value == pytest.approx(-HALF, abs=0.05)
    assert found["a"]["si_sdr_full"].value - found["noisy"]["si_sdr_full"].value == pytest.approx(
        HALF, abs=0.01
    )
    assert found["a"]["lsd_high"].value < found["noisy"]["lsd_high"].value


def test_si_sdr_full_includes_the_treble(tmp_path):
    t = np.arange(RATE) / RATE
    tone, high = (np.sin(2 * np.pi * hz * t).astype(np.float32) for hz in (440, 12_000))
    for name, samples in (("clean", 0.5 * tone), ("a", 0.5 * tone + 0.05 * high)):
        soundfile.write(tmp_path / f"{name}.wav", samples, RATE, subtype="FLOAT")
    pair = Item("x", tmp_path / "clean.wav", {"a": tmp_path / "a.wav"})
    found = score_file(pair, "a", ("si_sdr", "si_sdr_full")).scores
    assert found["si_sdr_full"].value == pytest.approx(20, abs=1e-3)
    assert found["si_sdr"].value is None or found["si_sdr"].value > 60  # the tone at 12 kHz is not in it


def test_other_metrics_of_48_khz_files_are_those_at_16_khz(item):
    keys = ("pesq_wb", "pesq_nb", "stoi", "si_sdr")
    signals = [soundfile.read(p, dtype="float32")[0] for p in (item.clean, item.estimates["a"])]
    expected = score(*(resample(s[None], RATE, 16_000)[0] for s in signals), keys)
    assert score_file(item, "a", keys).scores == expected


@pytest.mark.slow
def test_dnsmos_of_48_khz_files_is_that_at_16_khz(item):
    pytest.importorskip("speechmos")
    signals = [soundfile.read(p, dtype="float32")[0] for p in (item.clean, item.estimates["a"])]
    expected = score(*(resample(s[None], RATE, 16_000)[0] for s in signals), ("dnsmos_ovrl",))
    assert score_file(item, "a", ("dnsmos_ovrl",)).scores == expected


def test_a_difference_of_one_sample_at_48_khz_is_a_reason(item):
    samples, _ = soundfile.read(item.estimates["a"], dtype="float32")
    soundfile.write(item.estimates["a"], np.append(samples, 0), RATE, subtype="FLOAT")
    found = score_file(item, "a", KEYS).scores
    assert all(entry.value is None and entry.reason.startswith("lengths differ") for entry in found.values())


def test_faults_of_the_noisy_input_are_reasons_of_noise_high_alone(item, tmp_path):
    stereo = np.zeros((100, 2))
    soundfile.write(tmp_path / "stereo.wav", stereo, RATE)
    soundfile.write(tmp_path / "low.wav", stereo[:, 0], 16_000)
    for name, reason in (
        ("absent", "the noisy input: there is no such file"),
        ("stereo", "the noisy input has 2 channels; mono is required"),
        ("low", "sampling rates differ: 48000 Hz of reference, 16000 Hz of noisy input"),
    ):
        faulty = Item("x", item.clean, {**item.estimates, "noisy": tmp_path / f"{name}.wav"})
        found = score_file(faulty, "a", KEYS).scores
        assert found["noise_high"].value is None
        assert reason in found["noise_high"].reason
        assert found["lsd_high"].value is not None


def test_missing_values_are_counted(item, tmp_path):
    for name in ("low", "low_estimate"):
        soundfile.write(tmp_path / f"{name}.wav", voice(1), 16_000)
    low = Item("low", tmp_path / "low.wav", {"a": tmp_path / "low_estimate.wav"})
    cell = summarise(score_pairs([item, low], KEYS, 1, quiet=True)).means["a"]["lsd_high"]
    assert (cell.interval.count, cell.failed) == (1, 1)
    assert set(cell.reasons) == {"a sampling rate of 16000 Hz is too low for scores above 8 kHz"}
