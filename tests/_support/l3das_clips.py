"""Clips in the layout of L3DAS23."""

import numpy as np

from stillwave.audio import write
from stillwave.data.scenes.ambisonics import direction, encode

RATE = 16_000


def field(seed, frames=8000):
    """Four channels of a wave from somewhere and a little noise, 16 bit."""
    rng = np.random.default_rng(seed)
    wave = np.outer(encode(direction(*rng.uniform(-1.2, 1.2, 2))), 0.1 * rng.standard_normal(frames))
    return np.round((wave + 0.001 * rng.standard_normal((4, frames))) * 2**15).astype(np.float32) / 2**15


def clip(folder, name, frames=8000, text="WORDS"):
    seed = sum(map(ord, f"{folder.name}{name}"))
    write(folder / f"data/{name}_A.wav", field(seed, frames), RATE)
    write(folder / f"data/{name}_B.wav", field(seed + 1, frames), RATE)
    write(folder / f"labels/{name}.wav", field(seed + 2, frames)[0], RATE)
    if text:
        (folder / f"labels/{name}.txt").write_text(f"{text} {name}\n")
    return folder
