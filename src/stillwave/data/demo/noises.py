"""Synthetic noises: each a function `(rng, seconds, rate) -> samples [n]`, float32.

Parameters that are not given are drawn from `rng`, so that two recordings of a kind differ in them. All noises have
the same level (−25 dBFS RMS, peaks within ±1).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
import numpy.typing as npt

from stillwave.audio import Samples

Wave = npt.NDArray[np.float64]
Noise = Callable[[np.random.Generator, float, int], Samples]

_RMS = 10 ** (-25 / 20)


def coloured(rng: np.random.Generator, seconds: float, rate: int, exponent: float | None = None) -> Samples:
    """Gaussian noise of power density f^-exponent: 0 white, 1 pink, 2 brown (drawn between)."""
    exponent = rng.uniform(0, 2) if exponent is None else exponent
    return _level(_shaped(rng, _count(seconds, rate), rate, lambda f: f ** (-exponent / 2)))


def hum(rng: np.random.Generator, seconds: float, rate: int, mains: float | None = None) -> Samples:
    """Mains hum: harmonics of 50 or 60 Hz up to 2 kHz over a little hiss."""
    mains = float(rng.choice([50.0, 60.0])) if mains is None else mains
    time = _time(seconds, rate)
    harmonics = np.arange(1, int(2000 // mains) + 1)
    strength = rng.uniform(0.2, 1, len(harmonics)) / harmonics ** rng.uniform(0.5, 1.2)
    wave = _harmonics(
        2 * np.pi * mains * time, harmonics, strength, rng.uniform(0, 2 * np.pi, len(harmonics))
    )
    hiss = _shaped(rng, len(time), rate, lambda f: f**-0.5)
    return _level(wave / _rms(wave) + rng.uniform(0.03, 0.15) * hiss / _rms(hiss))


def impacts(rng: np.random.Generator, seconds: float, rate: int, per_second: float | None = None) -> Samples:
    """Clicks and knocks: a Poisson stream of short bursts, each ringing in a few resonances of its object."""
    per_second = rng.uniform(2, 8) if per_second is None else per_second
    count = _count(seconds, rate)
    strike = np.arange(int(0.25 * rate)) / rate
    modes = np.exp(rng.uniform(np.log(150), np.log(0.4 * rate), 5))
    decays = rng.uniform(0.004, 0.06, 5)
    wave = np.zeros(count + len(strike))
    for _ in range(max(1, rng.poisson(per_second * seconds))):
        gains = rng.normal(size=(5, 1)) * np.exp(-strike / decays[:, None])
        burst = (gains * np.sin(2 * np.pi * modes[:, None] * strike)).sum(0)
        burst += rng.normal(size=len(strike)) * np.exp(-strike / 0.002)
        start = rng.integers(count)
        wave[start : start + len(strike)] += rng.uniform(0.2, 1) * burst
    return _level(wave[:count] + 0.01 * rng.normal(size=count))


def swell(rng: np.random.Generator, seconds: float, rate: int, hertz: float | None = None) -> Samples:
    """Noise that comes and goes at one rate (0.3 to 8 Hz), as waves on a beach or a slow pump."""
    hertz = float(np.exp(rng.uniform(np.log(0.3), np.log(8)))) if hertz is None else hertz
    depth = rng.uniform(0.7, 0.98)
    slope = rng.uniform(0.2, 0.8)
    carrier = _shaped(rng, _count(seconds, rate), rate, lambda f: f**-slope)
    envelope = 1 + depth * np.sin(2 * np.pi * hertz * _time(seconds, rate) + rng.uniform(0, 2 * np.pi))
    return _level(carrier * envelope)


def rain(rng: np.random.Generator, seconds: float, rate: int) -> Samples:
    """Rain: a bright hiss and hundreds of drops a second, each a very short ringing tick."""
    count = _count(seconds, rate)
    hiss = _shaped(rng, count, rate, lambda f: np.clip(f / 1500, 0.02, 1))
    impulses = np.zeros(count)
    drops = rng.integers(count, size=int(rng.uniform(60, 400) * seconds) + 1)
    np.add.at(impulses, drops, rng.standard_exponential(len(drops)) * rng.choice([-1, 1], len(drops)))
    tick = np.arange(int(0.01 * rate)) / rate
    ring = np.exp(-tick / rng.uniform(5e-4, 2e-3)) * np.sin(2 * np.pi * rng.uniform(1500, 5000) * tick)
    drops_wave = np.convolve(impulses, ring)[:count]
    return _level(hiss / _rms(hiss) + rng.uniform(0.5, 2) * drops_wave / _rms(drops_wave))


def wind(rng: np.random.Generator, seconds: float, rate: int) -> Samples:
    """Wind: low rumble whose strength wanders over seconds, with the whistle of an edge."""
    count = _count(seconds, rate)
    corner = rng.uniform(120, 500)
    rumble = _shaped(rng, count, rate, lambda f: 1 / (1 + (f / corner) ** 2))
    gusts = np.exp(rng.uniform(0.4, 0.9) * _wander(rng, count, rate, 0.6))
    pitch = rng.uniform(400, 1200) * np.exp(0.2 * _wander(rng, count, rate, 0.8))
    whistle = np.sin(2 * np.pi * np.cumsum(pitch) / rate) * gusts**2
    return _level(rumble / _rms(rumble) * gusts + rng.uniform(0, 0.2) * whistle / _rms(whistle))


def machine(rng: np.random.Generator, seconds: float, rate: int, hertz: float | None = None) -> Samples:
    """A rotating machine: harmonics of a varying shaft speed, and noise modulated by it."""
    hertz = rng.uniform(18, 140) if hertz is None else hertz
    count = _count(seconds, rate)
    wobble = 1 + rng.uniform(0.001, 0.01) * _wander(rng, count, rate, 2)
    angle = 2 * np.pi * np.cumsum(hertz * wobble) / rate
    orders = np.arange(1, min(40, int(0.45 * rate / hertz)) + 1)
    gains = rng.uniform(0.05, 1, len(orders)) ** 2 / orders**0.5
    wave = _harmonics(angle, orders, gains, rng.uniform(0, 2 * np.pi, len(orders)))
    grind = _shaped(rng, count, rate, lambda f: f**-0.4) * (1 + 0.8 * np.sin(angle))
    return _level(wave / _rms(wave) + rng.uniform(0.2, 0.8) * grind / _rms(grind))


def fan(rng: np.random.Generator, seconds: float, rate: int, hertz: float | None = None) -> Samples:
    """A fan: broadband air noise, and the tone with which its blades pass (60 to 300 Hz) and its octave."""
    hertz = rng.uniform(60, 300) if hertz is None else hertz
    slope = rng.uniform(0.4, 1.1)
    air = _shaped(rng, _count(seconds, rate), rate, lambda f: f**-slope)
    time = _time(seconds, rate)
    tone = np.sin(2 * np.pi * hertz * time) + rng.uniform(0.2, 0.8) * np.sin(4 * np.pi * hertz * time)
    return _level(air / _rms(air) + rng.uniform(0.2, 0.7) * tone / _rms(tone))


def alarm(rng: np.random.Generator, seconds: float, rate: int, hertz: float | None = None) -> Samples:
    """Beeps: a tone with two overtones, switched on and off, sometimes between two pitches."""
    hertz = rng.uniform(500, 2500) if hertz is None else hertz
    time = _time(seconds, rate)
    phase = time * rng.uniform(0.8, 4)
    pitch = np.where(phase % 2 < 1, hertz, hertz * rng.choice([1.0, 1.0, 1.25, 1.5]))
    angle = 2 * np.pi * np.cumsum(pitch) / rate
    tone = _harmonics(angle, np.arange(1, 4), np.array([1, *rng.uniform(0.05, 0.5, 2)]), np.zeros(3))
    gate = np.clip(40 * np.sin(2 * np.pi * phase), 0, 1)  # the steep clip is a rise of a few milliseconds
    return _level(tone * gate + 0.01 * rng.normal(size=len(time)))


def chirps(rng: np.random.Generator, seconds: float, rate: int) -> Samples:
    """Birds: short tones that sweep within 1.5 to 6 kHz, in phrases of a few."""
    count = _count(seconds, rate)
    wave = np.zeros(count + rate)
    start = int(rng.uniform(0, 0.2) * rate)
    while start < count:
        low, high = np.sort(rng.uniform(1500, min(6000, 0.45 * rate), 2))
        length = rng.uniform(0.04, 0.18)
        for _ in range(rng.integers(1, 6)):
            sweep = np.linspace(low, high, int(length * rate))
            note = np.sin(2 * np.pi * np.cumsum(sweep) / rate) * np.hanning(len(sweep))
            room = min(len(note), max(0, len(wave) - start))
            wave[start : start + room] += note[:room]
            start += int(1.2 * length * rate)
        start += int(rng.exponential(0.4) * rate) + 1
    return _level(wave[:count] + 0.003 * rng.normal(size=count))


def babble(rng: np.random.Generator, seconds: float, rate: int, voices: Sequence[Samples]) -> Samples:
    """Several people at once: each of `voices` (mono at `rate`) looped, at levels within 6 dB."""
    count = _count(seconds, rate)
    total = np.zeros(count)
    for voice in voices:
        start = rng.integers(len(voice))
        gain = 10 ** (rng.uniform(-6, 0) / 20) / _rms(voice)
        total += gain * np.take(voice, np.arange(start, start + count), mode="wrap")
    return _level(total)


NOISES: dict[str, Noise] = {
    "coloured": coloured,
    "hum": hum,
    "impacts": impacts,
    "swell": swell,
    "rain": rain,
    "wind": wind,
    "machine": machine,
    "fan": fan,
    "alarm": alarm,
    "chirps": chirps,
}
"""Every kind that needs no other recording (`babble` needs voices)."""


def _count(seconds: float, rate: int) -> int:
    return round(seconds * rate)


def _time(seconds: float, rate: int) -> Wave:
    return np.arange(_count(seconds, rate)) / rate


def _harmonics(angle: Wave, orders: npt.NDArray[np.int_], gains: Wave, phases: Wave) -> Wave:
    """Σ gain · sin(order · angle + phase)."""
    total = np.zeros_like(angle)
    for order, gain, phase in zip(orders, gains, phases, strict=True):
        total += gain * np.sin(order * angle + phase)
    return total


def _rms(wave: npt.NDArray[np.floating]) -> float:
    return float(np.sqrt(np.mean(np.square(wave, dtype=np.float64)))) or 1.0


def _level(wave: npt.NDArray[np.floating]) -> Samples:
    """Scale to the common level; sparse noises are scaled by their peak."""
    wave = wave - wave.mean()
    gain = min(_RMS / _rms(wave), 0.99 / max(float(np.abs(wave).max(initial=0)), 1e-9))
    return (gain * wave).astype(np.float32)


def _shaped(rng: np.random.Generator, count: int, rate: int, response: Callable[[Wave], Wave]) -> Wave:
    """Return white noise filtered with an amplitude response over frequency; zero below 20 Hz."""
    spectrum = np.fft.rfft(rng.normal(size=count))
    frequency = np.fft.rfftfreq(count, 1 / rate)
    gain = response(np.maximum(frequency, 20.0))
    return np.asarray(np.fft.irfft(np.where(frequency < 20, 0, spectrum * gain), count))


def _wander(rng: np.random.Generator, count: int, rate: int, hertz: float) -> Wave:
    """Return a smooth random curve of unit size that changes about `hertz` times a second."""
    knots = max(4, int(count / rate * hertz * 2) + 2)
    curve = np.interp(np.linspace(0, knots - 1, count), np.arange(knots), rng.normal(size=knots))
    return np.asarray(curve)
