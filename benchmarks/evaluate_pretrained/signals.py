"""What a denoiser may be given besides noisy speech. Everything is a function of a seed; samples `[N]`, float32, ±1."""

from __future__ import annotations

import numpy as np
from scipy.signal import butter, lfilter, sosfiltfilt

from stillwave.audio import Samples, resample
from stillwave.data.demo import noises
from stillwave.data.effects import active_level, amplitude, convolve, decibels, level, split_response
from stillwave.schema import SAMPLE_RATE

TELEPHONE = 8_000
CHORDS = ((0, 4, 7), (-5, -1, 2), (-3, 0, 4), (-7, -3, 0))
"""I – V – vi – IV, in semitones from the tonic."""
ROOM = (7.0, 5.0, 3.0)
DISTANCE, RT60 = 4.0, 0.6
EARLY_MS = 50.0


def at_level(samples: Samples, dbfs: float) -> Samples:
    """Scaled to a mean power of `dbfs` (full scale 1)."""
    return samples * amplitude(dbfs - decibels(level(samples)))


def white(seconds: float, dbfs: float, seed: int = 0) -> Samples:
    """White Gaussian noise."""
    rng = np.random.default_rng([seed, 1])
    return at_level(rng.standard_normal(round(seconds * SAMPLE_RATE)).astype(np.float32), dbfs)


def room_tone(seconds: float, dbfs: float, seed: int = 0) -> Samples:
    """What a quiet room sounds like: a fan, and mains hum 6 dB below it."""
    rng = np.random.default_rng([seed, 2])
    fan, hum = (make(rng, seconds, SAMPLE_RATE) for make in (noises.fan, noises.hum))
    return at_level(at_level(fan, -20) + at_level(hum, -26), dbfs)


def plucked(rng: np.random.Generator, hertz: float, seconds: float) -> Samples:
    """A plucked string (Karplus & Strong, 1983): noise that goes round a delay of one period and a gentle low-pass."""
    period = round(SAMPLE_RATE / hertz - 0.5)
    burst = np.zeros(round(seconds * SAMPLE_RATE))
    burst[:period] = rng.uniform(-1, 1, period)
    loop = np.zeros(period + 2)
    loop[0], loop[period], loop[period + 1] = 1.0, -0.498, -0.498
    return np.asarray(lfilter([1.0], loop, burst), np.float32)


def music(seconds: float, dbfs: float, seed: int = 0) -> Samples:
    """Plucked chords, two seconds each, strummed twice, with a bass string an octave below."""
    rng = np.random.default_rng([seed, 3])
    out = np.zeros(round(seconds * SAMPLE_RATE) + 3 * SAMPLE_RATE, np.float32)
    for beat in range(int(seconds)):
        chord = CHORDS[beat // 2 % len(CHORDS)]
        for place, step in enumerate((chord[0] - 12, *chord, chord[0] + 12)):
            note = plucked(rng, 261.63 * 2 ** (step / 12), 2.0)
            start = round((beat + 0.02 * place) * SAMPLE_RATE)
            out[start : start + len(note)] += note
    return at_level(out[: round(seconds * SAMPLE_RATE)], dbfs)


def telephone(samples: Samples) -> Samples:
    """At 8 kHz, 300 to 3400 Hz (no phase shift)."""
    narrow = resample(samples[None], SAMPLE_RATE, TELEPHONE)[0]
    band = butter(6, (300, 3400), "bandpass", fs=TELEPHONE, output="sos")
    return np.asarray(sosfiltfilt(band, narrow), np.float32)


def overdriven(samples: Samples, over_db: float = 12.0) -> Samples:
    """Cut off where the loudest peak is `over_db` beyond, as a preamplifier turned up too far does."""
    limit = np.abs(samples).max(initial=0) * amplitude(-over_db)
    return np.clip(samples, -limit, limit)


def far_field(seed: int = 0) -> Samples:
    """The impulse response of a box-shaped room of 7 × 5 × 3 m, RT60 0.6 s, 4 m from mouth to microphone (images)."""
    import pyroomacoustics

    rng = np.random.default_rng([seed, 4])
    absorption, order = pyroomacoustics.inverse_sabine(RT60, ROOM)
    room = pyroomacoustics.ShoeBox(
        ROOM, fs=SAMPLE_RATE, materials=pyroomacoustics.Material(absorption), max_order=order
    )
    mouth = np.array([rng.uniform(1, 1.6), rng.uniform(2, 3), rng.uniform(1.2, 1.7)])
    across = rng.uniform(-0.2, 0.2)
    room.add_source(mouth)
    room.add_microphone(mouth + DISTANCE * np.array([np.cos(across), np.sin(across), 0.0]))
    room.compute_rir()
    response = np.asarray(room.rir[0][0], np.float32)
    return np.asarray(response / np.abs(response).max(), np.float32)


def in_room(samples: Samples, response: Samples) -> tuple[Samples, Samples]:
    """What the microphone hears, and of it the direct sound and the first 50 ms; both aligned with `samples`."""
    early, late = split_response(response, SAMPLE_RATE, EARLY_MS)
    target, tail = convolve(samples, np.stack([early, late]))
    return target + tail, target


def together(one: Samples, other: Samples, other_db: float = 0.0) -> tuple[Samples, Samples]:
    """Two talkers, cut to the shorter: the second scaled to be `other_db` above the first while they speak."""
    length = min(len(one), len(other))
    one, other = one[:length], other[:length]
    gain = decibels(active_level(one)) - decibels(active_level(other)) + other_db
    return one, other * amplitude(gain)
