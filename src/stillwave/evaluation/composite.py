"""CSIG, CBAK and COVL: predicted ratings of speech, background and overall quality.

Y. Hu, P. C. Loizou, "Evaluation of objective quality measures for speech enhancement", IEEE TASLP 16(1), 2008,
with the coefficients of Loizou's `composite`, which are in common use. PESQ is given by the caller: wide-band, as
usual for VoiceBank+DEMAND. Frames of 30 ms every 7.5 ms, Hann window. Axes: frames `[T, ...]`.
"""

from __future__ import annotations

from functools import cache

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view
from numpy.typing import NDArray

from stillwave.audio import Samples
from stillwave.schema import SAMPLE_RATE

Array = NDArray[np.float64]

_FRAME, _HOP = round(0.030 * SAMPLE_RATE), round(0.0075 * SAMPLE_RATE)
_KEPT = 0.95
"""The share of frames (those with the lowest distance) in the mean of LLR and WSS."""
_ORDER = 16
_EPS = np.finfo(np.float64).eps

# Critical bands of the weighted spectral slope (Klatt 1982): centre and width in Hz.
_CENTRES = np.array([
    50.0, 120.0, 190.0, 260.0, 330.0, 400.0, 470.0, 540.0, 617.372, 703.378, 798.717, 904.128, 1020.38,
    1148.30, 1288.72, 1442.54, 1610.70, 1794.16, 1993.93, 2211.08, 2446.71, 2701.97, 2978.04, 3276.17, 3597.63,
])  # fmt: skip
_WIDTHS = np.array([
    70.0, 70.0, 70.0, 70.0, 70.0, 70.0, 70.0, 77.3724, 86.0056, 95.3398, 105.411, 116.256, 127.914, 140.423,
    153.823, 168.154, 183.457, 199.776, 217.153, 235.631, 255.255, 276.072, 298.126, 321.465, 346.136,
])  # fmt: skip
BINS = 512


def composite(clean: Samples, estimate: Samples, pesq: float) -> dict[str, float]:
    """Return `csig`, `cbak` and `covl`, each 1 … 5, of signals `[N]` at 16 kHz with their PESQ."""
    x, y = clean.astype(np.float64), estimate.astype(np.float64)
    distortion, slope, segmental = llr(x, y), wss(x, y), segmental_snr(x, y)
    values = {
        "csig": 3.093 - 1.029 * distortion + 0.603 * pesq - 0.009 * slope,
        "cbak": 1.634 + 0.478 * pesq - 0.007 * slope + 0.063 * segmental,
        "covl": 1.594 + 0.805 * pesq - 0.512 * distortion - 0.007 * slope,
    }
    return {key: float(np.clip(value, 1.0, 5.0)) for key, value in values.items()}


def llr(clean: Array, estimate: Array) -> float:
    """Return the log-likelihood ratio of linear prediction, ln (a_y R_x a_yᵀ / a_x R_x a_xᵀ), order 16."""
    r_x = _autocorrelation(frames(clean) + _EPS)
    r_y = _autocorrelation(frames(estimate) + _EPS)
    a_x, a_y = _predictor(r_x), _predictor(r_y)
    lag = np.abs(np.subtract.outer(np.arange(_ORDER + 1), np.arange(_ORDER + 1)))
    matrix = r_x[:, lag]
    error_x, error_y = (np.einsum("ti,tij,tj->t", a, matrix, a) for a in (a_x, a_y))
    return _best(np.log(np.maximum(error_y, _EPS) / np.maximum(error_x, _EPS)))


def wss(clean: Array, estimate: Array) -> float:
    """Return the weighted spectral slope distance (Klatt 1982) between critical bands in dB."""
    bands_x, bands_y = _bands(clean), _bands(estimate)
    slope_x, slope_y = np.diff(bands_x), np.diff(bands_y)
    weight = (_slope_weight(bands_x, slope_x) + _slope_weight(bands_y, slope_y)) / 2
    return _best((weight * (slope_x - slope_y) ** 2).sum(1) / weight.sum(1))


def segmental_snr(clean: Array, estimate: Array) -> float:
    """Return the mean over frames of the SNR in dB, clipped to −10 … 35."""
    signal = (frames(clean) ** 2).sum(1)
    noise = (frames(clean - estimate) ** 2).sum(1)
    return float(np.clip(10 * np.log10(signal / (noise + _EPS) + _EPS), -10, 35).mean())


def frames(signal: Array) -> Array:
    """Return windowed frames `[T, 480]`; shorter signals are padded to one frame."""
    padded = np.pad(signal, (0, max(0, _FRAME - len(signal))))
    window = 0.5 * (1 - np.cos(2 * np.pi * np.arange(1, _FRAME + 1) / (_FRAME + 1)))
    framed: Array = sliding_window_view(padded, _FRAME)[::_HOP] * window
    return framed


def _autocorrelation(frames: Array) -> Array:
    size = 1024  # longer than 480 + 16: no circular wrap-around
    return np.fft.irfft(np.abs(np.fft.rfft(frames, size)) ** 2, size)[:, : _ORDER + 1]


def _predictor(r: Array) -> Array:
    """Return the predictor `[T, 17]` of all frames (Levinson-Durbin); the first coefficient is 1."""
    a = np.zeros_like(r)
    a[:, 0] = 1.0
    error = r[:, 0] + _EPS
    for i in range(1, _ORDER + 1):
        k = -(a[:, :i] * r[:, i:0:-1]).sum(1) / error
        a[:, 1 : i + 1] += k[:, None] * a[:, i - 1 :: -1][:, :i]
        error = np.maximum(error * (1 - k**2), _EPS)
    return a


def _bands(signal: Array) -> Array:
    """Return the energy of the critical bands in dB, `[T, 25]`."""
    power = np.abs(np.fft.rfft(frames(signal), 2 * BINS)[:, :BINS]) ** 2
    decibels: Array = 10 * np.log10(np.maximum(np.einsum("tf,bf->tb", power, critical_filters()), 1e-10))
    return decibels


@cache
def critical_filters() -> Array:
    """Return the filters of the critical bands, `[25, 512]`, for spectra of 1024 samples without the last bin."""
    centre, width = (hz / (SAMPLE_RATE / 2) * BINS for hz in (_CENTRES, _WIDTHS))
    offset = np.arange(BINS) - np.floor(centre)[:, None]
    level = np.log(_WIDTHS.min() / _WIDTHS)[:, None]
    filters: Array = np.exp(-11 * (offset / width[:, None]) ** 2 + level)
    filters[filters < np.exp(-30 / (2 * 2.303))] = 0.0
    return filters


def _slope_weight(bands: Array, slope: Array) -> Array:
    near_maximum = 20 / (20 + bands.max(1, keepdims=True) - bands[:, :-1])
    near_peak = 1 / (1 + local_peak(bands, slope) - bands[:, :-1])
    weight: Array = near_maximum * near_peak
    return weight


def local_peak(bands: Array, slope: Array) -> Array:
    """Return the energy of the nearest peak: to the right if the slope rises, otherwise to the left.

    To the right it is the energy of the last rising band, one before the peak, as in Loizou's program.
    """
    last = slope.shape[1]
    peak = np.empty_like(slope)
    top = bands[:, last - 1]
    for i in range(last - 1, -1, -1):
        top = np.where(slope[:, i] > 0, top, bands[:, max(i - 1, 0)])
        peak[:, i] = top
    top = bands[:, 0]
    for i in range(last):
        rises = slope[:, i] > 0
        top = np.where(rises, bands[:, i + 1], top)
        peak[:, i] = np.where(rises, peak[:, i], top)
    return peak


def _best(distances: Array) -> float:
    kept = np.sort(distances)[: max(1, round(_KEPT * len(distances)))]
    return float(kept.mean())
