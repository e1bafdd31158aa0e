"""Signals to verify exported networks on: recordings, or synthetic speech in noise."""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from stillwave.audio import Samples, read
from stillwave.data.multichannel import load_noisy
from stillwave.data.pair_manifest import Pair
from stillwave.errors import AudioError
from stillwave.schema import SAMPLE_RATE

SECONDS = 3.0
"""Duration of the synthetic signals."""
LONGEST = 5.0
"""Greatest duration taken from a recording, in seconds."""


def speechlike(count: int, microphones: int = 1, seconds: float = SECONDS, seed: int = 0) -> Samples:
    """Return synthetic speech in noise `[count, microphones, N]` with a pause, the same for the same seed.

    Harmonics of a gliding pitch are shaped by moving formants and syllables and mixed with coloured noise at 0 to
    15 dB SNR. Peaks are 0.5, 0.05 and 0.005 in turn. Microphones receive the voice some samples apart, with
    independent noise.
    """
    rng = np.random.default_rng([seed, count, microphones])
    signals = np.stack([_mixture(rng, microphones, round(seconds * SAMPLE_RATE)) for _ in range(count)])
    levels = 10.0 ** -(np.arange(count) % 3)[:, None, None]
    scaled: Samples = (0.5 * levels * signals / np.abs(signals).max((1, 2), keepdims=True)).astype(np.float32)
    return scaled


def _mixture(rng: np.random.Generator, microphones: int, samples: int) -> Samples:
    voice = _voice(rng, samples)
    noise = rng.standard_normal((microphones, samples))
    noise[:, 1:] += 0.9 * noise[:, :-1]  # more energy at low frequencies, as in most rooms
    snr_db = rng.uniform(0, 15)
    noise *= np.sqrt(np.mean(voice**2) / np.mean(noise**2)) * 10 ** (-snr_db / 20)
    mixed = np.stack([np.roll(voice, 3 * m) for m in range(microphones)]) + noise
    pause = round(samples * rng.uniform(0.2, 0.7))
    mixed[:, pause : pause + samples // 10] = 0
    return mixed.astype(np.float32)


def _voice(rng: np.random.Generator, samples: int) -> Samples:
    time = np.arange(samples) / SAMPLE_RATE
    pitch = rng.uniform(90, 220) * (1 + 0.15 * np.sin(2 * math.pi * rng.uniform(0.5, 2) * time))
    phase = 2 * math.pi * np.cumsum(pitch) / SAMPLE_RATE
    syllable = np.maximum(0, np.sin(2 * math.pi * rng.uniform(2.5, 4.5) * time)) ** 0.5
    formants = [low + (high - low) * 0.5 * (1 + np.sin(2 * math.pi * rng.uniform(1, 3) * time + rng.uniform(0, 6)))
                for low, high in ((300, 800), (900, 2300), (2400, 3300))]  # fmt: skip
    voice = np.zeros(samples)
    for harmonic in range(1, int(7000 / pitch.max())):
        hz = harmonic * pitch
        gain = sum(np.exp(-(((hz - formant) / 150) ** 2)) / (1 + k) for k, formant in enumerate(formants))
        voice += (gain + 0.01) * np.sin(harmonic * phase)
    return (voice * syllable).astype(np.float32)


def recorded(sources: Sequence[Path | Pair], microphones: int, longest: float = LONGEST) -> Samples:
    """Return the starts of recordings as one batch `[R, microphones, N]` at 16 kHz, padded with silence.

    Raises AudioError for a file that cannot be read or has too few channels, and if all are silent.
    """
    signals = [shared_signals(source, microphones, longest) for source in sources]
    batch = np.zeros((len(signals), microphones, max(signal.shape[1] for signal in signals)), np.float32)
    for row, signal in zip(batch, signals, strict=True):
        row[:, : signal.shape[1]] = signal
    if not batch.any():
        raise AudioError(
            f"{_file(sources[0]).parent}: the recordings are silent in their first {longest:g} s; give others"
        )
    return batch


def shared_signals(source: Path | Pair, microphones: int, longest: float | None = None) -> Samples:
    """Return the noisy signal `[microphones, N]` at 16 kHz; a multichannel pair as `data.multichannel` reads it.

    Raises AudioError.
    """
    frames = None if longest is None else round(longest * SAMPLE_RATE)
    if isinstance(source, Pair) and source.channels > 1:
        return np.atleast_2d(load_noisy(source, microphones))[:, :frames]
    path = _file(source)
    samples, _ = read(path, sample_rate=SAMPLE_RATE)
    if len(samples) < microphones:
        raise AudioError(
            f"{path}: has {len(samples)} channel(s), the network needs {microphones} microphones"
        )
    return samples[:microphones, :frames]


def _file(source: Path | Pair) -> Path:
    return source.noisy if isinstance(source, Pair) else source
