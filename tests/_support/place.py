"""A place for tests of adaptation: short recordings of tones in noise, and tiny networks."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch

from stillwave import checkpoint
from stillwave.adaptation.recordings import PIECE, Material, Stretch
from stillwave.audio import write
from stillwave.models import build
from stillwave.schema import ModelConfig

RATE = 16_000
TINY = ModelConfig(name="bsrnn", channels=8, blocks=1, causal=True, norm="frame", bands=8)


def recording(seconds: float, seed: int = 0, noise: float = 0.02) -> np.ndarray:
    """Return `[n]`: bursts of a tone, a second each with a second of pause, in white noise."""
    rng = np.random.default_rng(seed)
    time = np.arange(round(seconds * RATE)) / RATE
    tone = 0.2 * np.sin(2 * np.pi * 440 * time) * (time % 2 < 1)
    return (tone + noise * rng.standard_normal(len(time))).astype(np.float32)


def write_place(folder: Path, count: int = 6, seconds: float = 16.0) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    for number in range(count):
        write(folder / f"{number}.wav", recording(seconds, number)[None], RATE)
    return folder


def write_network(folder: Path, seed: int = 0, config: ModelConfig = TINY) -> Path:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        network = build(config)
        checkpoint.save(folder, network, checkpoint.Card(model=config, sample_rate=network.sample_rate))
    return folder


def material(*levels: tuple[float, float], held_out: bool = False) -> tuple[Material, np.ndarray]:
    """Return one recording with a piece for each pair of amplitudes (speech, noise), and the speech in it."""
    rng = np.random.default_rng(5)
    speech = np.concatenate([a * rng.standard_normal(PIECE) for a, _ in levels]).astype(np.float32)
    noise = np.concatenate([b * rng.standard_normal(PIECE) for _, b in levels]).astype(np.float32)
    stretch = Stretch("one.wav", 0, len(speech), held_out)
    return Material(speech + noise, (stretch,), (), 0, ""), speech
