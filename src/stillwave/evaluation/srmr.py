"""SRMR: speech-to-reverberation modulation energy ratio, without a reference; higher is better.

T. H. Falk, C. Zheng, W.-Y. Chan, "A non-intrusive quality and intelligibility measure of reverberant and
dereverberated speech", IEEE TASLP 18(7), 2010, as in SRMRpy (J. F. Santos) with its gammatone filters (not `fast`, not
normalised). Speech modulates the envelopes of auditory bands by 3 to 20 Hz, reverberation and noise faster.
"""

from __future__ import annotations

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view
from numpy.typing import NDArray

from stillwave.audio import Samples
from stillwave.errors import MetricError
from stillwave.schema import SAMPLE_RATE

Array = NDArray[np.float64]

_BANDS, _LOWEST_HZ = 23, 125.0
_EAR_Q, _LEAST_HZ = 9.26449, 24.7
"""Equivalent rectangular bandwidth of a centre frequency f: f / _EAR_Q + _LEAST_HZ (Glasberg & Moore 1990)."""
_MODULATIONS_HZ = 4.0 * 32 ** (np.arange(8) / 7)
"""Centres of the modulation filters, 4 to 128 Hz; the lower four are speech."""
_MODULATION_Q = 2
_WINDOW, _HOP = round(0.256 * SAMPLE_RATE), round(0.064 * SAMPLE_RATE)
_SHARE = 0.9
"""The part of the energy that lies below the bandwidth of a signal."""


def srmr(estimate: Samples) -> float:
    """Return the ratio for `[N]` at 16 kHz. Raises MetricError for less than 0.256 s."""
    if len(estimate) < _WINDOW:
        raise MetricError(f"too short for SRMR (at least {_WINDOW / SAMPLE_RATE} s)")
    centres = _centres()
    energy = np.array([_modulation_energy(_envelope(estimate, hz)) for hz in centres])
    # From the lowest band upwards: the band in which the cumulated energy exceeds 90 % is the bandwidth.
    cumulated = np.cumsum(energy.sum(1)[::-1]) / energy.sum()
    bandwidth = _erb(centres)[::-1][int(np.argmax(cumulated > _SHARE))]
    last = 5 + int((bandwidth > _lower_cutoffs()[5:]).sum())
    return float(energy[:, :4].sum() / energy[:, 4:last].sum())


def _centres() -> Array:
    """Return the centre frequencies, equally spaced on the ERB scale, highest first."""
    offset, top = _EAR_Q * _LEAST_HZ, SAMPLE_RATE / 2
    share = np.arange(1, _BANDS + 1) / _BANDS
    return np.asarray(
        -offset + np.exp(share * np.log((_LOWEST_HZ + offset) / (top + offset))) * (top + offset)
    )


def _erb(hz: Array) -> Array:
    return hz / _EAR_Q + _LEAST_HZ


def _envelope(signal: Samples, centre: float) -> Array:
    """Return the envelope of a gammatone band (M. Slaney, Apple TR 35, 1993): four sections of second order."""
    from scipy.signal import hilbert, sosfilt

    step = 1 / SAMPLE_RATE
    width = 1.019 * 2 * np.pi * (centre / _EAR_Q + _LEAST_HZ) * step
    angle = 2 * np.pi * centre * step
    decay = np.exp(-width)
    zeros = [np.cos(angle) + sign * np.sqrt(3 + other * 2**1.5) * np.sin(angle) for sign, other in _ZEROS]
    poles = [1.0, -2 * np.cos(angle) * decay, decay**2]
    sections = np.array([[step, -step * decay * zero, 0.0, *poles] for zero in zeros])
    turn = np.exp(1j * angle)
    numerator = np.prod([turn**2 - turn * decay * zero for zero in zeros])
    gain = abs(numerator * (step / decay / (-decay + 1 + turn**2 * (1 - 1 / decay))) ** 4)
    return np.asarray(np.abs(hilbert(sosfilt(sections, signal.astype(np.float64)) / gain)))


_ZEROS = ((1, 1), (-1, 1), (1, -1), (-1, -1))


def _modulation_energy(envelope: Array) -> Array:
    """Return the mean energy of an envelope in each modulation band, over Hamming windows of 256 ms."""
    from scipy.signal import lfilter

    weight = np.hamming(_WINDOW + 1)[:-1] ** 2
    found = []
    for hz in _MODULATIONS_HZ:
        tangent = np.tan(np.pi * hz / SAMPLE_RATE)
        width = tangent / _MODULATION_Q
        band = lfilter(
            [width, 0, -width], [1 + width + tangent**2, 2 * tangent**2 - 2, 1 - width + tangent**2], envelope
        )
        found.append((sliding_window_view(band**2, _WINDOW)[::_HOP] @ weight).mean())
    return np.array(found)


def _lower_cutoffs() -> Array:
    """Return the lower cut-off frequencies of the modulation filters in Hz."""
    tangent = np.tan(np.pi * _MODULATIONS_HZ / SAMPLE_RATE)
    return np.asarray(_MODULATIONS_HZ - tangent / _MODULATION_Q * SAMPLE_RATE / (2 * np.pi))
