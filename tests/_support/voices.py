"""Signals that PESQ and STOI take for speech: harmonics, a formant, syllables and never digital silence."""

import numpy as np

RATE = 16_000


def voice(seconds=2.0, seed=0, syllables=4.0):
    rng = np.random.default_rng([1, seed])
    t = np.arange(int(seconds * RATE)) / RATE
    pitch = 2 * np.pi * (120 + 30 * seed) * t + 3 * np.sin(2 * np.pi * 1.3 * t)
    tone = sum(np.sin(k * pitch + k) / (1 + ((k - 6) / 4) ** 2) for k in range(1, 30))
    envelope = 0.05 + np.clip(np.sin(np.pi * syllables * t + seed), 0, None) ** 2
    return (0.05 * tone * envelope + 1e-4 * rng.standard_normal(len(t))).astype(np.float32)


def noise(samples, seed=0):
    return np.random.default_rng([2, seed]).standard_normal(samples).astype(np.float32)


def noisy(clean, snr_db, seed=0):
    """Clean plus white noise at exactly this SNR, up to float32."""
    extra = noise(len(clean), seed).astype(np.float64)
    gain = np.sqrt((clean.astype(np.float64) ** 2).sum() / (extra**2).sum() / 10 ** (snr_db / 10))
    return (clean + gain * extra).astype(np.float32)
