"""How to spend the same audio: students that hear 4.4 hours in few or many updates, in short or long segments.

    python benchmarks/batches.py --audio AUDIO [--work scratch]

Resumable. Warm-up and the average of weights span the same audio. The development mixtures are scored; the test
mixtures are not looked at.
"""

from __future__ import annotations

import argparse
from pathlib import Path

from comparison import data_keys, sets, stillwave  # type: ignore[import-not-found]
from levels import RECIPE, row, scores  # type: ignore[import-not-found]
from stillwave.quickstart import data as material

STUDENTS = ((8, 2, 3e-3), (8, 2, 5e-3), (4, 2, 3e-3), (4, 2, 5e-3), (2, 4, 5e-3), (4, 4, 5e-3))
"""Mixtures a batch, seconds of each, highest learning rate."""
HEARD = 16_000  # seconds
WARMUP, AVERAGED, CHECKED = 3200, 8000, 4000  # seconds: warm-up, the average's memory, between validations


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--audio", type=Path, required=True)
    parser.add_argument("--work", type=Path, default=Path("scratch"))
    options = parser.parse_args()
    work = options.work.resolve()
    found = material.own(options.audio, work / "material")
    data = data_keys(found)
    print("| batch | updates | learning rate | PESQ-WB / STOI ×100 / SI-SDR dB |\n| --- | --- | --- | --- |")
    for batch, seconds, rate in STUDENTS:
        run = work / "batches" / f"{batch}x{seconds}-{rate:g}"
        keys = [*data, *budget(batch, seconds), f"optimiser.lr={rate}", "model.level_normalized=true"]
        stillwave("train", str(RECIPE), "-o", str(run), *sets(keys))
        scored = row(scores(run, Path(found.development), 1))
        print(f"| {batch} × {seconds} s | {HEARD // (batch * seconds)} | {rate:g} | {scored} |", flush=True)


def budget(batch: int, seconds: int) -> list[str]:
    """The recipe's keys that let such batches hear the same audio."""
    each = batch * seconds
    return [
        f"train.batch_size={batch}",
        f"data.segment_seconds={seconds}",
        f"train.steps={HEARD // each}",
        f"train.validate_every={CHECKED // each}",
        f"train.ema={1 - each / AVERAGED:g}",
        f"optimiser.warmup_steps={WARMUP // each}",
    ]


if __name__ == "__main__":
    main()
