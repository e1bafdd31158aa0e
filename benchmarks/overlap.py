"""How long two parts of a recording must overlap so that a causal network gives what it gives in one pass.

    python benchmarks/overlap.py NOISY [NOISY ...] [--models bsrnn-xs bsrnn-s bsrnn-m]

The recordings of the folders are joined in a random order (seed 0). A part starts from the initial state some seconds
before the place that is compared; the difference is the greatest of the samples in the next three seconds.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np

import stillwave
from stillwave.audio import Samples, read

RATE = 16_000
OVERLAPS = (1, 2, 4, 8, 16, 32, 48)
PLACES = (60, 100, 140, 180)
COMPARED = 3


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("noisy", type=Path, nargs="+")
    parser.add_argument("--models", nargs="+", default=["bsrnn-xs", "bsrnn-s", "bsrnn-m"])
    options = parser.parse_args()
    noisy = joined(options.noisy)
    print("Greatest difference of a part from one pass, full scale 1, by overlap.\n")
    print(f"| model | {' | '.join(f'{seconds} s' for seconds in OVERLAPS)} |")
    print("| --- " * (len(OVERLAPS) + 1) + "|")
    for name in options.models:
        enhancer = stillwave.load(name)
        whole = enhancer.enhance(noisy, RATE)
        apart = [
            max(difference(enhancer, noisy, whole, place, overlap) for place in PLACES)
            for overlap in OVERLAPS
        ]
        print(f"| {name} | {' | '.join(f'{value:.1g}' for value in apart)} |")


def joined(folders: list[Path]) -> Samples:
    """The recordings one after another, `[samples]`, as long as the places need."""
    files = [file for folder in folders for file in sorted(folder.iterdir())]
    order = np.random.default_rng(0).permutation(len(files))
    samples = np.concatenate([read(files[i])[0][0] for i in order])
    return samples[: (PLACES[-1] + COMPARED) * RATE]


def difference(
    enhancer: stillwave.Enhancer, noisy: Samples, whole: Samples, place: int, overlap: int
) -> float:
    """The greatest difference after `place` of a part that starts `overlap` seconds before it."""
    part = enhancer.enhance(noisy[(place - overlap) * RATE : (place + COMPARED) * RATE], RATE)
    compared = slice(place * RATE, (place + COMPARED) * RATE)
    return float(np.abs(part[overlap * RATE :] - whole[compared]).max())


if __name__ == "__main__":
    main()
