"""Soft and loud recordings: does a student hear them as others, and what does that cost? Resumable.

    python benchmarks/levels.py --audio AUDIO [--work scratch]

Three students with the same budget: one trained on the usual levels, one on all levels, and one on the usual levels
with `model.level_normalized`. The development mixtures are scored as they are, and softer and louder; the test mixtures
are not used.
"""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

import numpy as np

import stillwave as package
from comparison import data_keys, sets, stillwave  # type: ignore[import-not-found]
from stillwave import audio
from stillwave.evaluation.metrics import METRICS, score
from stillwave.quickstart import data as material

RECIPE = Path(__file__).parent / "levels" / "student.yaml"
STUDENTS: dict[str, list[str]] = {
    "levels −38 … −14 dBFS": [],
    "levels −58 … −10 dBFS": ["data.mixing.level_dbfs.low=-58", "data.mixing.level_dbfs.high=-10"],
    "levels −38 … −14 dBFS, levelled": ["model.level_normalized=true"],
}
GAINS_DB = {"as they are": 0, "−20 dB": -20, "−40 dB": -40, "+20 dB": 20}
SCORED = ("pesq_wb", "stoi", "si_sdr")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--audio", type=Path, required=True)
    parser.add_argument("--work", type=Path, default=Path("scratch"))
    options = parser.parse_args()
    work = options.work.resolve()
    found = material.own(options.audio, work / "material")
    data = data_keys(found)
    print(f"| heard in training | {' | '.join(GAINS_DB)} |")
    print("| --- " * (1 + len(GAINS_DB)) + "|")
    for number, (name, keys) in enumerate(STUDENTS.items()):
        run = work / "levels" / str(number)
        stillwave("train", str(RECIPE), "-o", str(run), *sets([*data, *keys]))
        shown = [row(scores(run, Path(found.development), 10 ** (gain / 20))) for gain in GAINS_DB.values()]
        print(f"| {name} | {' | '.join(shown)} |", flush=True)


def scores(run: Path, development: Path, gain: float) -> np.ndarray[Any, Any]:
    """`[recordings, metrics]` of what comes out for the recordings times `gain`, divided by it."""
    enhancer = package.load(run)
    found = []
    for file in sorted((development / "noisy").iterdir()):
        noisy, rate = audio.read(file)
        clean, _ = audio.read(development / "clean" / file.name)
        estimate = enhancer.enhance(gain * noisy, rate) / gain
        found.append([given.value for given in score(clean[0], estimate[0], SCORED).values()])
    return np.array(found, float)


def row(found: np.ndarray[Any, Any]) -> str:
    """Means over recordings: PESQ-WB / STOI ×100 / SI-SDR in dB."""
    pesq, stoi, si_sdr = found.mean(0) * [METRICS[key].factor for key in SCORED]  # NaN if one has no value
    return f"{pesq:.3f} / {stoi:.1f} / {si_sdr:.2f}"


if __name__ == "__main__":
    main()
