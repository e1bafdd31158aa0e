"""The probe: a signal like clean speech, with which the delay and the level of a denoiser are measured.

Voiced syllables (harmonics of a gliding pitch under three moving formants) alternate with weak fricatives (noise),
because a denoiser suppresses noise and a pure tone. The pitch and the formants do not repeat, so that the
autocorrelation has one maximum.
"""

from __future__ import annotations

import numpy as np

from stillwave.audio import Samples

SECONDS = 4.0
LEAD_S, TAIL_S = 0.3, 0.5
"""Silence before and after the speech, in seconds; a later output than `TAIL_S` is not complete."""
LEVEL = 0.08
"""Root mean square of the samples."""
_SYLLABLES_HZ = 1.9


def probe(rate: int) -> Samples:
    """Return the probe `[n]` at a sampling rate in Hz; the same samples at every call."""
    random = np.random.default_rng(18)
    time = np.arange(round(SECONDS * rate)) / rate
    swing = np.sin(2 * np.pi * _SYLLABLES_HZ * time)
    voice = _voice(time, rate, random) * np.clip(swing, 0, None) ** 0.5
    hiss = np.diff(random.standard_normal(len(time) + 1)) * np.clip(-swing - 0.75, 0, None)
    speech = voice / voice.std() + 0.15 * hiss / hiss.std()
    speech[: round(LEAD_S * rate)] = 0
    speech[len(time) - round(TAIL_S * rate) :] = 0
    return np.asarray(LEVEL * speech / np.sqrt(np.mean(speech**2)), np.float32)


def _voice(time: np.ndarray, rate: int, random: np.random.Generator) -> np.ndarray:
    """Return harmonics of a gliding pitch of about 120 Hz under three moving formants."""
    pitch = 120 * (1 + 0.25 * np.sin(2 * np.pi * 0.7 * time) + 0.05 * np.sin(2 * np.pi * 2.3 * time))
    phase = 2 * np.pi * np.cumsum(pitch) / rate
    formants = (
        (500 + 250 * np.sin(2 * np.pi * 1.1 * time), 90, 1.0),
        (1500 + 600 * np.sin(2 * np.pi * 0.8 * time + 1), 120, 0.5),
        (2600 + 300 * np.sin(2 * np.pi * 0.5 * time), 180, 0.25),
    )
    top = min(7_000, 0.45 * rate)
    voice = np.zeros_like(time)
    for number in range(1, int(top / pitch.min()) + 1):
        frequency = number * pitch
        gain = 0.02 + sum(
            height / (1 + ((frequency - centre) / width) ** 2) for centre, width, height in formants
        )
        gain *= (frequency < top) / (1 + (frequency / 4_000) ** 2)
        voice += gain * np.sin(number * phase + random.uniform(0, 2 * np.pi))
    return voice
