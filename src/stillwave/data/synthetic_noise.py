"""Synthetic noises, of kinds that are rare in recordings.

Each is a function `(rng, frames, rate) -> samples [frames]`, float32, of any level and never silent. Parameters that
are not given are drawn from `rng`. A noise of 2 s at 16 kHz takes about 1 to 3 ms.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Callable

import numpy as np
import numpy.typing as npt

from stillwave.audio import Samples
from stillwave.data.effects import fast_length

Computed = Callable[[np.random.Generator, int, int], Samples]
Wave = npt.NDArray[np.float64]

_LOWEST = 20.0
"""Hz, below which coloured noise has nothing."""
_TABLE = 2048
"""Points of one period of a periodic sound."""


def coloured(rng: np.random.Generator, frames: int, rate: int, slope: float | None = None) -> Samples:
    """Gaussian noise whose power density changes by `slope` dB an octave: 0 white, −3 pink, −6 brown (−9 … +3)."""
    slope = float(rng.uniform(-9, 3)) if slope is None else slope
    points = fast_length(frames)
    gain = _logarithms(points, rate) * np.float32(slope / (20 * np.log10(2)))
    np.exp(gain, out=gain)
    gain[: math.ceil(_LOWEST * points / rate)] = 0
    parts = rng.standard_normal((len(gain), 2), np.float32) * gain[:, None]
    wave = np.fft.irfft(parts.view(np.complex64)[:, 0], points)[:frames]
    return _unit(wave)


def modulated(rng: np.random.Generator, frames: int, rate: int, hertz: float | None = None) -> Samples:
    """Coloured noise whose level wanders by some 5 to 20 dB, about `hertz` times a second (0.3 … 10)."""
    hertz = float(np.exp(rng.uniform(np.log(0.3), np.log(10)))) if hertz is None else hertz
    knots = int(frames / rate * hertz * 2) + 4
    levels = rng.uniform(-1, 1, knots) * rng.uniform(5, 20) / 2
    places = np.linspace(0, knots - 1.001, frames, dtype=np.float32)
    before = places.astype(int)
    smooth = 0.5 - 0.5 * np.cos(np.pi * (places - before))
    nepers = (levels[before] + np.diff(levels)[before] * smooth) * (np.log(10) / 20)
    return _unit(coloured(rng, frames, rate) * np.exp(nepers.astype(np.float32)))


def hum(rng: np.random.Generator, frames: int, rate: int, mains: float | None = None) -> Samples:
    """Mains hum: up to 24 harmonics of 50 or 60 Hz, within 0.2 % of it, over some coloured noise 10 to 40 dB below."""
    mains = float(rng.choice([50.0, 60.0])) * rng.uniform(0.998, 1.002) if mains is None else mains
    highest = min(int(rng.integers(4, 25)), int(0.45 * rate / mains))
    strength = rng.uniform(0.1, 1, highest) / np.arange(1, highest + 1) ** rng.uniform(0.3, 1.5)
    wave = _periodic(rng, strength, mains * np.arange(frames) / rate + rng.random())
    return _unit(_unit(wave) + coloured(rng, frames, rate) * 10 ** (-rng.uniform(10, 40) / 20))


def clicks(rng: np.random.Generator, frames: int, rate: int, per_second: float | None = None) -> Samples:
    """Clicks and crackle: 1 to 100 a second, at random times and strengths, each a short ringing of one resonance."""
    per_second = float(np.exp(rng.uniform(0, np.log(100)))) if per_second is None else per_second
    count = max(1, int(rng.poisson(per_second * frames / rate)))
    struck = np.zeros(frames)
    np.add.at(
        struck, rng.integers(frames, size=count), rng.standard_exponential(count) * rng.choice([-1, 1], count)
    )
    time = np.arange(round(0.006 * rate)) / rate
    ring = np.exp(-time / rng.uniform(1e-4, 1.5e-3)) * np.cos(
        2 * np.pi * rng.uniform(200, 0.45 * rate) * time
    )
    hiss = coloured(rng, frames, rate) * 10 ** (-rng.uniform(20, 50) / 20)
    return _unit(_unit(np.convolve(struck, ring)[:frames]) + hiss)


def beeps(rng: np.random.Generator, frames: int, rate: int, hertz: float | None = None) -> Samples:
    """Tones of one to four pitches (200 Hz … 4 kHz) with overtones, each 60 to 500 ms long, some followed by pauses."""
    count = int(rng.integers(1, 5))
    pitches = (
        np.exp(rng.uniform(np.log(200), np.log(min(4000, 0.4 * rate)), count)) if hertz is None else [hertz]
    )
    strength = np.array([1, *rng.uniform(0, 0.5, 2)])
    wave = np.zeros(frames)
    start = 0
    while start < frames:
        length = min(round(rng.uniform(0.06, 0.5) * rate), frames - start)
        pitch = float(rng.choice(pitches))
        audible = strength[: max(1, int(0.5 * rate / pitch))]
        tone = _periodic(rng, audible, pitch * np.arange(length) / rate)
        ramp = np.minimum(1, np.minimum(np.arange(length), np.arange(length)[::-1]) / (0.004 * rate))
        wave[start : start + length] = tone * ramp
        start += length + (round(rng.uniform(0.02, 0.6) * rate) if rng.random() < 0.7 else 0)
    hiss = coloured(rng, frames, rate) * 10 ** (-rng.uniform(20, 50) / 20)
    return _unit(_unit(wave) + hiss)


COMPUTED: dict[str, Computed] = {
    "coloured": coloured,
    "modulated": modulated,
    "hum": hum,
    "clicks": clicks,
    "beeps": beeps,
}


def draw_synthetic(rng: np.random.Generator, frames: int, rate: int) -> tuple[Samples, str]:
    """Draw a noise of any kind, all equally likely; return it with the name of its kind."""
    name = str(rng.choice(list(COMPUTED)))
    return COMPUTED[name](rng, frames, rate), name


@functools.lru_cache(maxsize=16)
def _logarithms(points: int, rate: int) -> Samples:
    """Return the natural logarithm of each bin's frequency."""
    return np.asarray(np.log(np.maximum(np.fft.rfftfreq(points, 1 / rate), _LOWEST)), np.float32)


def _periodic(rng: np.random.Generator, strength: Wave, turns: Wave) -> Wave:
    """Harmonics 1, 2, … of these amplitudes and random phases, at phases given in periods; one table, interpolated."""
    spectrum = np.zeros(_TABLE // 2 + 1, complex)
    spectrum[1 : len(strength) + 1] = strength * np.exp(2j * np.pi * rng.random(len(strength)))
    table = np.fft.irfft(spectrum, _TABLE) * _TABLE
    return np.asarray(np.interp(turns % 1 * _TABLE, np.arange(_TABLE + 1), np.append(table, table[0])))


def _unit(wave: npt.NDArray[np.floating]) -> Samples:
    """At an RMS of 1."""
    power = float(np.dot(wave, wave)) / max(1, len(wave))
    return np.asarray(wave * (max(power, 1e-20) ** -0.5), np.float32)
