"""The parts of CSIG, CBAK and COVL against plain forms and analytic cases."""

from __future__ import annotations

import numpy as np
import pytest
from voices import noise, noisy, voice

from stillwave.evaluation.composite import composite, llr, local_peak, segmental_snr, wss


def test_identical_signals():
    clean = voice(1).astype(np.float64)
    assert llr(clean, clean) == pytest.approx(0, abs=1e-12)
    assert wss(clean, clean) == 0
    assert segmental_snr(clean, clean) == 35
    assert composite(clean, clean, 4.644) == {"csig": 5, "cbak": 5, "covl": 5}


def test_the_coefficients(monkeypatch):
    for name, value in (("llr", 0.5), ("wss", 20.0), ("segmental_snr", 4.0)):
        monkeypatch.setattr(f"stillwave.evaluation.composite.{name}", lambda x, y, value=value: value)
    found = composite(voice(1), voice(1), 2.0)
    assert found["csig"] == pytest.approx(3.093 - 1.029 * 0.5 + 0.603 * 2 - 0.009 * 20)
    assert found["cbak"] == pytest.approx(1.634 + 0.478 * 2 - 0.007 * 20 + 0.063 * 4)
    assert found["covl"] == pytest.approx(1.594 + 0.805 * 2 - 0.512 * 0.5 - 0.007 * 20)


def test_more_noise_lowers_every_measure():
    clean = voice(1).astype(np.float64)
    estimates = [noisy(clean, snr_db).astype(np.float64) for snr_db in (30, 15, 0)]
    for measure in (llr, wss):
        values = [measure(clean, estimate) for estimate in estimates]
        assert values == sorted(values)
        assert values[0] < values[2]
    values = [segmental_snr(clean, estimate) for estimate in estimates]
    assert values == sorted(values, reverse=True)


@pytest.mark.parametrize("gain", [0.25, 4])
def test_spectral_distances_are_invariant_to_level(gain):
    clean = voice(1).astype(np.float64)
    estimate = noisy(clean, 10).astype(np.float64)
    assert wss(clean, gain * estimate) == pytest.approx(wss(clean, estimate), rel=1e-6)
    assert llr(clean, gain * estimate) == pytest.approx(llr(clean, estimate), rel=1e-6)


def test_segmental_snr_of_a_gain_error():
    clean = 0.1 * noise(16_000).astype(np.float64)
    assert segmental_snr(clean, 0.9 * clean) == pytest.approx(20)  # every frame: 1 against 0.1
    assert segmental_snr(clean, 10 * clean) == -10  # −19 dB, limited


def frames(signal):
    """Frames of 30 ms every 7.5 ms with a Hann window without zeros."""
    window = np.hanning(482)[1:-1]
    return [signal[i : i + 480] * window for i in range(0, len(signal) - 479, 120)]


def predictor(frame):
    """Linear prediction of order 16 by its definition: autocorrelation, and the normal equations."""
    r = np.array([(frame[: 480 - k] * frame[k:]).sum() for k in range(17)])
    lag = np.abs(np.subtract.outer(np.arange(16), np.arange(16)))
    return np.array([1, *np.linalg.solve(r[lag], -r[1:])])


def test_llr_by_its_definition():
    """The estimate's predictor is applied to the reference: ln of the ratio of the two error energies."""
    clean, estimate = (voice(0.5, seed).astype(np.float64) for seed in (0, 1))
    ratios = []
    for x, y in zip(frames(clean), frames(estimate), strict=True):
        error_x, error_y = (np.convolve(x, predictor(frame)) for frame in (x, y))
        ratios.append(np.log((error_y**2).sum() / (error_x**2).sum()))
    kept = np.sort(ratios)[: round(0.95 * len(ratios))]
    assert llr(clean, estimate) == pytest.approx(kept.mean(), rel=1e-6)


def plain_peak(bands, slope):
    """The nearest peak of each band, as in Loizou's program: one band at a time."""
    last = len(slope)
    peaks = []
    for i in range(last):
        n = i
        if slope[i] > 0:
            while n < last and slope[n] > 0:
                n += 1
            peaks.append(bands[n - 1])
        else:
            while n >= 0 and slope[n] <= 0:
                n -= 1
            peaks.append(bands[n + 1])
    return peaks


def test_local_peak_against_a_plain_loop():
    bands = np.random.default_rng(3).integers(0, 6, (200, 25)).astype(np.float64)  # some neighbours are equal
    bands[0], bands[1] = np.arange(25), np.arange(25)[::-1]
    slope = np.diff(bands)
    expected = [plain_peak(b, s) for b, s in zip(bands, slope, strict=True)]
    assert np.array_equal(local_peak(bands, slope), expected)


def test_shorter_than_a_frame():
    clean = voice(1)[:100].astype(np.float64)
    assert np.isfinite([llr(clean, -clean), wss(clean, 2 * clean), segmental_snr(clean, 0 * clean)]).all()
