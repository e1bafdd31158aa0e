"""Systems of an arena for tests: functions in a module of the working directory."""

from pathlib import Path

import numpy as np
from voices import RATE, noisy, voice

from stillwave.audio import write

SOURCE = """
import os, time

SPECIAL = {special}


def half(samples, rate):
    return 0.5 * samples


def late(samples, rate):
    out = 0 * samples
    out[:, 160:] = samples[:, :-160]
    return out


def crash(samples, rate):
    if samples.shape[1] == SPECIAL:
        os._exit(3)
    return samples


def hang(samples, rate):
    if samples.shape[1] == SPECIAL:
        time.sleep(600)
    return samples


def dead(samples, rate):
    if samples.shape[1] != 4 * rate:  # the probe
        os._exit(3)
    return samples


def prints(samples, rate):
    print("a line that is no answer", flush=True)
    return samples
"""
SPECIAL = RATE + 1
"""The length of recording 1."""


def module(folder: Path) -> None:
    """Write `systems.py` into a folder."""
    (folder / "systems.py").write_text(SOURCE.format(special=SPECIAL))


def mixtures(folder: Path, count: int = 3, labels: bool = True) -> Path:
    """Write noisy/, clean/ and mixtures.csv with recordings of a second; recording 1 has one sample more."""
    rows = ["id,snr_db,language,noise_class,rir,text"]
    for n in range(count):
        clean = np.tile(voice(1.0, n), 2)[: SPECIAL if n == 1 else RATE]
        snr = (0, 5, 10)[n % 3]
        for side, samples in (("clean", clean), ("noisy", noisy(clean, snr, n))):
            write(folder / side / f"{n}.wav", samples[None], RATE, subtype="FLOAT")
        rows.append(f"{n},{snr},{'en' if n else 'fr'},music/kind{n},{'room' if n else ''},")
    if labels:
        (folder / "mixtures.csv").write_text("\n".join(rows) + "\n")
    return folder
