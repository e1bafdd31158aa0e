"""Simulate a place: one room and one kind of noise, recorded without clean speech, and held-out pairs of the same."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyroomacoustics as pra

from stillwave.audio import Samples, read, write
from stillwave.data import effects

RATE = 16_000
SIZE_M, RT60_S = (5.2, 4.1, 2.7), 0.45
MICROPHONE_M = (3.6, 1.2, 1.1)
EARLY_MS = 50.0
"""The reference keeps reflections up to this long after the direct sound, as in training and in the tests."""
SNR_DB, LEVEL_DBFS = (-2.0, 12.0), (-34.0, -22.0)
PAUSE_S = (0.4, 2.0)
HELD_OUT_NOISE = 1 / 3
"""Share of each recording of noise, at its end, that only the held-out recordings use."""


@dataclass(frozen=True)
class Sources:
    """Manifests of the speech of the recordings and of the held-out pairs, and of noise, of one kind."""

    speech: tuple[Path, ...]
    held_out_speech: tuple[Path, ...]
    noise: Path
    label: str


def simulate(folder: Path, sources: Sources, minutes: float, pairs: int, seed: int) -> None:
    """Write `recordings/` (`minutes` in all), and `noisy/` and `clean/` of `pairs` held-out utterances."""
    rng = np.random.default_rng([seed, 1])
    noises = [entry for entry in _entries(sources.noise) if entry.get("label") == sources.label]
    loaded = [read(entry["path"], sample_rate=RATE)[0][0] for entry in noises]
    cuts = [round(len(noise) * (1 - HELD_OUT_NOISE)) for noise in loaded]
    noise, held_noise = (
        [n[:c] for n, c in zip(loaded, cuts, strict=True)],
        [n[c:] for n, c in zip(loaded, cuts, strict=True)],
    )
    rooms = [response(rng) for _ in range(12)]
    held_rooms = [response(rng) for _ in range(6)]
    speech = [entry for file in sources.speech for entry in _entries(file) if entry["seconds"] >= 2]
    held = [
        entry for file in sources.held_out_speech for entry in _entries(file) if 3 <= entry["seconds"] <= 12
    ]
    (folder / "recordings").mkdir(parents=True, exist_ok=True)
    done, index = 0.0, 0
    while done < 60 * minutes:
        dry = _talk(rng, speech, rng.uniform(10, 25))
        noisy, _ = mixture(rng, dry, rooms, noise)
        write(folder / "recordings" / f"{index:03d}.wav", noisy[None], RATE)
        done, index = done + len(noisy) / RATE, index + 1
    for kind in ("noisy", "clean"):
        (folder / kind).mkdir(exist_ok=True)
    for number, entry in enumerate(rng.choice(np.array(held, dtype=object), pairs, replace=False)):
        dry = read(entry["path"], sample_rate=RATE)[0][0]
        noisy, clean = mixture(rng, dry, held_rooms, held_noise)
        write(folder / "noisy" / f"{number:03d}.wav", noisy[None], RATE)
        write(folder / "clean" / f"{number:03d}.wav", clean[None], RATE)


def response(rng: np.random.Generator) -> Samples:
    """Return the response of the room from a random position to the microphone, `[n]`."""
    absorption, order = pra.inverse_sabine(RT60_S, SIZE_M)
    room = pra.ShoeBox(SIZE_M, fs=RATE, materials=pra.Material(absorption), max_order=min(order, 25))
    while True:
        position = rng.uniform((0.4, 0.4, 1.0), (SIZE_M[0] - 0.4, SIZE_M[1] - 0.4, 1.8))
        if np.linalg.norm(position - MICROPHONE_M) > 0.7:
            break
    room.add_source(position)
    room.add_microphone(np.array(MICROPHONE_M))
    room.compute_rir()
    samples = np.asarray(room.rir[0][0], np.float32)
    return samples[max(0, int(np.abs(samples).argmax()) - 16) :]


def mixture(
    rng: np.random.Generator, dry: Samples, rooms: list[Samples], noises: list[Samples]
) -> tuple[Samples, Samples]:
    """Return noisy signal and reference, `[n]` each."""
    reverberant, early = effects.reverberate(dry, rooms[rng.integers(len(rooms))], RATE, EARLY_MS)
    source = noises[rng.integers(len(noises))]
    start = int(rng.integers(len(source)))
    noise = np.resize(np.roll(source, -start), len(dry))
    snr, level = rng.uniform(*SNR_DB), rng.uniform(*LEVEL_DBFS)
    noisy = reverberant + effects.at_snr(reverberant, noise, snr)
    gain = float(effects.amplitude(level - effects.decibels(effects.level(noisy))))
    gain = min(gain, 0.99 / float(np.abs(noisy).max()))
    return (noisy * gain).astype(np.float32), (early * gain).astype(np.float32)


def _talk(rng: np.random.Generator, speech: list[dict[str, Any]], seconds: float) -> Samples:
    """Return utterances of several speakers with pauses between them, `[n]`."""
    parts: list[Samples] = []
    while sum(map(len, parts)) < seconds * RATE:
        entry = speech[int(rng.integers(len(speech)))]
        samples = read(entry["path"], sample_rate=RATE)[0][0]
        samples = samples * effects.amplitude(-26.0 - effects.decibels(effects.active_level(samples)))
        parts += [samples, np.zeros(round(rng.uniform(*PAUSE_S) * RATE), np.float32)]
    return np.concatenate(parts)[: round(seconds * RATE)]


def _entries(file: Path) -> list[dict[str, Any]]:
    lines = file.read_text(encoding="utf-8").splitlines()
    return [entry for entry in map(json.loads, lines) if "path" in entry]
