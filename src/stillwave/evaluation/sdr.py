"""SI-SDR, SNR and correlation. Signals are `[N]`."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from stillwave.audio import Samples
from stillwave.errors import MetricError

_ROUNDING = 1e-25  # −250 dB: rounding errors of float64


def si_sdr(clean: Samples, estimate: Samples) -> float:
    """Return the scale-invariant signal-to-distortion ratio in dB, means removed. Independent of polarity.

    Examples:
        >>> t = np.linspace(0, 1, 16_000, endpoint=False)
        >>> tone, other = np.sin(2 * np.pi * 100 * t), np.sin(2 * np.pi * 200 * t)
        >>> round(si_sdr(tone, tone + 0.1 * other), 6), round(si_sdr(tone, -3 * (tone + 0.1 * other)), 6)
        (20.0, 20.0)
        >>> si_sdr(tone, 2 * tone)
        Traceback (most recent call last):
            ...
        stillwave.errors.MetricError: the estimate equals the reference: SI-SDR is infinite

    """
    s, e = centred(clean), centred(estimate)
    if not s.any():
        raise MetricError("the reference is constant")
    target = _dot(e, s) / _dot(s, s) * s
    wanted, error = _dot(target, target), _dot(e - target, e - target)
    if wanted <= _ROUNDING * error:  # a constant estimate too: both are zero
        raise MetricError("the estimate is uncorrelated with the reference: SI-SDR is minus infinity")
    if error <= _ROUNDING * wanted:
        raise MetricError("the estimate equals the reference: SI-SDR is infinite")
    return float(10 * np.log10(wanted / error))


def snr(clean: Samples, estimate: Samples) -> float:
    """Return the signal-to-noise ratio in dB, where the noise is estimate − clean."""
    s, e = clean.astype(np.float64), estimate.astype(np.float64) - clean
    if not e.any():
        raise MetricError("the estimate equals the reference: SNR is infinite")
    return float(10 * np.log10(_dot(s, s) / _dot(e, e)))


def correlation(clean: Samples, estimate: Samples) -> float:
    """Return the correlation coefficient, −1 … 1; 0 if either signal is constant."""
    s, e = centred(clean), centred(estimate)
    return _dot(s, e) / max(float(np.sqrt(_dot(s, s) * _dot(e, e))), 1e-300)


def _dot(a: NDArray[np.float64], b: NDArray[np.float64]) -> float:
    """Return the dot product without BLAS, whose rounding depends on the number of threads."""
    return float((a * b).sum())


def centred(signal: Samples) -> NDArray[np.float64]:
    """Return the signal without its mean, in float64."""
    found: NDArray[np.float64] = signal.astype(np.float64) - signal.mean(dtype=np.float64)
    return found
