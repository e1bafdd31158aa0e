"""Room impulse responses from decaying noise."""

from __future__ import annotations

import numpy as np

from stillwave.audio import Samples


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
