"""Batches a second from a corpus of two ambisonic microphones: does loading keep pace with a training step?

stillwave data simulate -o sim --speech speech.jsonl --noise noise.jsonl --clips 100
python benchmarks/multichannel_loader.py sim/L3DAS23_Task1_train100
"""

from __future__ import annotations

import argparse
import time
from pathlib import Path

from stillwave.data.dataset import batches
from stillwave.data.pair_sets import read_pairs
from stillwave.data.paired_dataset import PairedSegments


def measure(source: PairedSegments, batch_size: int, workers: int, count: int) -> float:
    """Seconds a batch, after the first few."""
    started = 0.0
    for number, _ in enumerate(batches(source, batch_size, last=count + 5, workers=workers)):
        if number == 4:
            started = time.perf_counter()
    return (time.perf_counter() - started) / count


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("pairs", type=Path)
    parser.add_argument("--batch-size", type=int, default=8)
    parser.add_argument("--seconds", type=float, default=2.0)
    parser.add_argument("--count", type=int, default=50)
    arguments = parser.parse_args()
    pairs = read_pairs(arguments.pairs)
    print("| microphones | workers | ms a batch | batches a second |")
    print("|---|---|---|---|")
    for microphones in (1, 4, 8):
        source = PairedSegments(pairs, arguments.seconds, microphones)
        for workers in (0, 1):
            spent = measure(source, arguments.batch_size, workers, arguments.count)
            print(f"| {microphones} | {workers} | {1000 * spent:.1f} | {1 / spent:.0f} |")


if __name__ == "__main__":
    main()
