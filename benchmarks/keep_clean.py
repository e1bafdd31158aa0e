"""Scores with and without `--keep-clean`: clean recordings, and noisy ones by SNR.

    python benchmarks/keep_clean.py AUDIO [--models bsrnn-m bsrnn-s bsrnn-xs]

AUDIO contains the test sets `test`, `test_diverse` and `fullband/test`, each with `clean/`, `noisy/`, `mixtures.csv`.
Of the clean recordings PESQ-WB and, at 48 kHz, the log-spectral distance above 8 kHz are printed, of the noisy ones the
difference in PESQ-WB that the option makes, paired by recording: means with bootstrap 95 % intervals over recordings.
"""

from __future__ import annotations

import argparse
import csv
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path

import numpy as np
from pesq import pesq

import stillwave
from stillwave import audio, provenance
from stillwave.audio import Samples
from stillwave.errors import MetricError
from stillwave.evaluation.full_band import FullBand, lsd_high
from stillwave.stats.bootstrap import bootstrap

SETS = ("test", "test_diverse", "fullband/test")
SCORED = 16_000  # Hz


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("folder", type=Path)
    parser.add_argument("--models", nargs="+", default=["bsrnn-m", "bsrnn-s", "bsrnn-xs"])
    options = parser.parse_args()
    print(
        "| model | recordings | without | with `--keep-clean` | difference |\n| --- | --- | --- | --- | --- |"
    )
    for model in options.models:
        enhancers = [stillwave.load(model, keep_clean=keep) for keep in (False, True)]
        for line in table(enhancers, options.folder):
            print(f"| {model} | {line}", flush=True)
    facts = {**provenance.machine(), **provenance.versions()}
    print("\n" + ", ".join(f"{name} {value}" for name, value in facts.items()))


def table(enhancers: list[stillwave.Enhancer], folder: Path) -> Iterator[str]:
    """Yield the rows of a model."""
    noisy: dict[float, list[list[float]]] = defaultdict(list)
    for name in SETS:
        scores, distances = [], []
        for clean, mixture, rate, snr_db in recordings(folder / name):
            outputs = [enhancer.enhance(clean, rate)[0] for enhancer in enhancers]
            scores.append([score(clean[0], output, rate) for output in outputs])
            if rate > SCORED:
                distances.append(distance(clean[0], outputs, rate))
            outputs = [enhancer.enhance(mixture, rate)[0] for enhancer in enhancers]
            noisy[snr_db].append([score(clean[0], output, rate) for output in outputs])
        yield row(f"clean, {name}, PESQ-WB", scores)
        found = [pair for pair in distances if pair]
        if found:
            yield row(f"clean, {name}, LSD > 8 kHz dB", found)
    for snr_db, pairs in sorted(noisy.items()):
        yield row(f"noisy, {snr_db:g} dB, PESQ-WB", pairs)
    yield row("noisy, all, PESQ-WB", [pair for pairs in noisy.values() for pair in pairs])


def recordings(folder: Path) -> Iterator[tuple[Samples, Samples, int, float]]:
    """Yield clean and noisy samples `[1, n]`, rate in Hz and SNR in dB of a test set."""
    with (folder / "mixtures.csv").open() as file:
        rows = list(csv.DictReader(file))
    for entry in rows:
        clean, rate = audio.read(folder / "clean" / f"{entry['id']}.flac")
        mixture, _ = audio.read(folder / "noisy" / f"{entry['id']}.flac")
        yield clean[:1], mixture[:1], rate, float(entry["snr_db"])


def score(clean: Samples, output: Samples, rate: int) -> float:
    """Return PESQ-WB."""
    rows = np.stack([clean, output])
    if rate != SCORED:
        rows = audio.resample(rows, rate, SCORED)
    return float(pesq(SCORED, rows[0], rows[1], "wb"))


def distance(clean: Samples, outputs: list[Samples], rate: int) -> list[float]:
    """Return the log-spectral distances above 8 kHz in dB; none of a recording with nothing there."""
    try:
        return [lsd_high(FullBand(clean, output, rate)) for output in outputs]
    except MetricError:
        return []


def row(name: str, pairs: list[list[float]]) -> str:
    """Return the cells of a row: means of both, and of the difference."""
    without, kept = zip(*pairs, strict=True)
    cells = [bootstrap(list(values)) for values in (without, kept)]
    change = bootstrap([b - a for a, b in pairs])
    shown = [f"{cell.mean:.3f} [{cell.low:.3f}, {cell.high:.3f}]" for cell in cells]
    shown.append(f"{change.mean:+.3f} [{change.low:+.3f}, {change.high:+.3f}]")
    return f"{name} ({len(pairs)}) | " + " | ".join(shown) + " |"


if __name__ == "__main__":
    main()
