"""Versions of a recording to compare by ear: equally loud, and playable in every browser."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import numpy as np

from stillwave.audio import Samples, write
from stillwave.schema import SAMPLE_RATE

LIMIT = 4.0
"""The largest gain, and the inverse of the smallest (12 dB)."""
PEAK = 0.98


def matching_gains(signals: Mapping[str, Samples]) -> dict[str, float]:
    """Return a gain for each version (mono, aligned, by system) that makes its speech as loud as in the reference.

    With a clean version, a version x = α·clean + rest gets the gain 1/α. Without one, the gain minimises the squared
    difference from the noisy recording.
    """
    clean = signals.get("clean")
    if clean is not None:
        energy = _energy(clean, clean)
        found = {key: _ratio(energy, _energy(samples, clean)) for key, samples in signals.items()}
    else:
        noisy = signals["noisy"]
        found = {
            key: _ratio(_energy(samples, noisy), _energy(samples, samples))
            for key, samples in signals.items()
        }
    return {key: min(max(gain, 1 / LIMIT), LIMIT) for key, gain in found.items()}


def match_loudness(signals: Mapping[str, Samples]) -> tuple[dict[str, Samples], dict[str, float]]:
    """Return the scaled versions, attenuated together if one would clip, and the gain of each in dB."""
    gains = matching_gains(signals)
    matched = {key: (samples * np.float32(gains[key])).astype(np.float32) for key, samples in signals.items()}
    peak = max((float(np.abs(samples).max(initial=0.0)) for samples in matched.values()), default=0.0)
    if peak > PEAK:
        matched = {
            key: (samples * np.float32(PEAK / peak)).astype(np.float32) for key, samples in matched.items()
        }
    return matched, {key: float(20 * np.log10(gain)) for key, gain in gains.items()}


def _energy(one: Samples, other: Samples) -> float:
    length = min(len(one), len(other))
    return float(np.dot(one[:length].astype(np.float64), other[:length].astype(np.float64)))


def _ratio(numerator: float, denominator: float) -> float:
    """Return a gain; 1 if a signal is uncorrelated with the reference."""
    return numerator / denominator if numerator > 0 and denominator > 0 else 1.0


def write_clip(file: Path, samples: Samples, rate: int = SAMPLE_RATE) -> None:
    """Write mono samples `[N]` as WAV with 16 bits, which every browser plays."""
    file.parent.mkdir(parents=True, exist_ok=True)
    write(file, samples[None], rate, subtype="PCM_16")
