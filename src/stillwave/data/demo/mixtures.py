"""Mixtures and room impulse responses of the demo corpus."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from stillwave.audio import Samples

Wave = npt.NDArray[np.float64]

_EARLY_SECONDS = 0.05


@dataclass(frozen=True)
class Mixed:
    """A noisy signal and its target, both `[n]`, sample-aligned."""

    noisy: Samples
    clean: Samples


def mix(
    speech: Samples,
    noise: Samples,
    snr_db: float,
    rate: int,
    rng: np.random.Generator,
    room: Samples | None = None,
) -> Mixed:
    """Add `noise` (looped from a random point) to `speech` at `snr_db`, the ratio of their whole energies.

    With a `room`, the target is the direct sound and the reflections of the first 50 ms. Speech is set to a
    level between -32 and -22 dBFS RMS; both are turned down together when a peak would pass 0.98.
    """
    clean = reverberant = speech.astype(np.float64)
    if room is not None:
        clean = _convolve(reverberant, room[: int(_EARLY_SECONDS * rate)])
        reverberant = _convolve(reverberant, room)
    gain = 10 ** (rng.uniform(-32, -22) / 20) / _rms(reverberant)
    start = rng.integers(len(noise))
    piece = np.take(noise, np.arange(start, start + len(reverberant)), mode="wrap").astype(np.float64)
    noisy = gain * reverberant + piece * (gain * _rms(reverberant) / _rms(piece) * 10 ** (-snr_db / 20))
    clean = gain * clean
    down = min(1.0, 0.98 / max(float(np.abs(noisy).max()), float(np.abs(clean).max()), 1e-9))
    return Mixed((down * noisy).astype(np.float32), (down * clean).astype(np.float32))


def _convolve(wave: Wave, response: Samples) -> Wave:
    """Return `wave` convolved with `response`, cut to its own length."""
    points = 1 << (len(wave) + len(response) - 1).bit_length()
    product = np.fft.rfft(wave, points) * np.fft.rfft(response, points)
    return np.asarray(np.fft.irfft(product, points)[: len(wave)])


def _rms(wave: npt.NDArray[np.floating]) -> float:
    return float(np.sqrt(np.mean(np.square(wave, dtype=np.float64)))) or 1.0


def room(rng: np.random.Generator, rate: int, rt60: float | None = None) -> Samples:
    """Return a response `[n]` with the direct sound (1.0) at sample 0; its tail falls by 60 dB in `rt60` seconds.

    `rt60` is drawn from 0.2 to 0.7 s. The tail's energy is -8 to 2 dB against the direct sound's; its treble
    falls twice as fast, as air and curtains have it.
    """
    rt60 = rng.uniform(0.2, 0.7) if rt60 is None else rt60
    time = np.arange(int(1.2 * rt60 * rate)) / rate
    onset = rng.uniform(0.001, 0.006)  # the first reflection comes 1 to 6 ms late: 0.3 to 2 m further
    treble = rng.normal(size=len(time))
    bass = np.convolve(treble, np.hanning(9) / np.hanning(9).sum(), mode="same")
    treble -= bass
    tail = (bass + treble * 10 ** (-3 * time / rt60)) * 10 ** (-3 * time / rt60) * (time >= onset)
    tail *= 10 ** (rng.uniform(-8, 2) / 20) / np.sqrt(np.sum(tail**2))
    tail[0] = 1.0
    return tail.astype(np.float32)
