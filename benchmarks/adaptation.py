"""Adapt a model to a simulated place without clean speech, and score it on held-out pairs of it. Resumable.

    python benchmarks/adaptation.py DATA --audio AUDIO [--seeds 0,1,2] [--variant remixed=1.0] [--work scratch]

`DATA` holds the manifests that `experiments/data/prepare.py` writes, `AUDIO` the two tests. Each seed has its own
recordings, held-out pairs and training. Scores are of the original and of the adapted model; the tests select nothing.
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np

import stillwave
from adaptation_place import Sources, simulate  # type: ignore[import-not-found]
from stillwave import audio
from stillwave.adaptation import Settings, adapt
from stillwave.evaluation.metrics import score
from stillwave.provenance import environment
from stillwave.stats.bootstrap import Interval, bootstrap
from stillwave.stats.crossed import Estimate, estimate

METRICS = ("pesq_wb", "stoi", "si_sdr")
MINUTES, PAIRS = 10.0, 40


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("data", type=Path)
    parser.add_argument("--audio", type=Path, required=True)
    parser.add_argument("--label", default="vacuuming", help="Kind of noise.")
    parser.add_argument("--model", default="bsrnn-xs")
    parser.add_argument("--seeds", default="0,1,2", help="Separated by commas.")
    parser.add_argument(
        "--variant", action="append", default=[], metavar="KEY=VALUE", help="A setting of `adapt`."
    )
    parser.add_argument("--tests", action="store_true", help="Also score test/ and test_diverse/.")
    parser.add_argument("--work", type=Path, default=Path("scratch/adaptation"))
    options = parser.parse_args()
    sources = Sources(
        speech=(options.data / "more-sentences.jsonl",),
        held_out_speech=(options.data / "more-speech-development.jsonl",),
        noise=options.data / "more-noise.jsonl",
        label=options.label,
    )
    print(json.dumps(environment()))
    gains: dict[str, list[Any]] = {}
    for seed in map(int, options.seeds.split(",")):
        place = options.work / f"{options.label}-{seed}"
        if not (place / "done").exists():
            simulate(place, sources, MINUTES, PAIRS, seed)
            (place / "done").touch()
        student = adapted(place, options, seed)
        sets = {"place": place}
        if options.tests:
            sets |= {name: options.audio / name for name in ("test", "test_diverse")}
        for name, folder in sets.items():
            before = scores(options.model, folder, options.work / f"{options.model}-{folder.name}.json")
            after = scores(student, folder, student / f"{folder.name}-scores.json")
            difference = after - before
            gains.setdefault(name, []).append(difference)
            show(
                f"seed {seed}, {name}",
                before,
                [bootstrap(column[~np.isnan(column)]) for column in difference.T],
            )
    for name, found in gains.items():
        if len(found) > 1:
            show(
                f"{name}, all seeds",
                None,
                [pooled(name, [d[:, m] for d in found]) for m in range(len(METRICS))],
            )


def adapted(place: Path, options: argparse.Namespace, seed: int) -> Path:
    """Return the folder of the model adapted to a place; print how long that took, and its own verdict."""
    given = {key: plain(value) for key, value in (pair.split("=") for pair in options.variant)}
    name = "-".join([options.model, *(f"{key}-{Path(str(value)).name}" for key, value in given.items())])
    student: Path = place / name
    started, computed = time.perf_counter(), time.process_time()
    result = adapt(Settings(place / "recordings", student, options.model, seed=seed, **given), quiet=True)
    wall, cpu = time.perf_counter() - started, time.process_time() - computed
    print(f"seed {seed}: {wall:.0f} s, {cpu:.0f} s of CPU; left out: {result.left_out}; {result.verdict}")
    for measure, change in result.changes.items():
        print(
            f"    {measure}: {change.before:.2f} → {change.after:.2f}, {shown(change.difference)}", flush=True
        )
    return student


def plain(text: str) -> Any:
    """Return a number as a number and other text as it is."""
    try:
        return json.loads(text)
    except ValueError:
        return text


def scores(model: str | Path, folder: Path, file: Path) -> np.ndarray[Any, Any]:
    """Return `[recordings, metrics]` for a folder with `noisy/` and `clean/`; those of an earlier call are read."""
    if file.exists():
        return np.array(json.loads(file.read_text()), float)
    enhancer = stillwave.load(model)
    found = []
    for noisy_file in sorted((folder / "noisy").iterdir()):
        noisy, rate = audio.read(noisy_file)
        clean, _ = audio.read(folder / "clean" / noisy_file.name)
        estimate = enhancer.enhance(noisy, rate)
        found.append([given.value for given in score(clean[0], estimate[0], METRICS).values()])
    file.write_text(json.dumps(found))
    return np.array(found, float)


def pooled(name: str, differences: list[np.ndarray[Any, Any]]) -> Interval | Estimate:
    """Return the mean over seeds; places differ in their recordings, the tests are the same for every seed."""
    if name == "place":
        values = np.concatenate(differences)
        return bootstrap(values[~np.isnan(values)])
    found = estimate(np.array(differences))
    assert found is not None
    return found


def show(title: str, before: np.ndarray[Any, Any] | None, gains: Iterable[Interval | Estimate]) -> None:
    means = [None] * len(METRICS) if before is None else np.nanmean(before, 0)
    parts = [
        f"{metric} {'' if mean is None else f'{mean:.3f} '}{shown(gain, 3)}"
        for metric, mean, gain in zip(METRICS, means, gains, strict=True)
    ]
    print(f"{title}: " + "; ".join(parts), flush=True)


def shown(interval: Interval | Estimate, digits: int = 2) -> str:
    return f"{interval.mean:+.{digits}f} [{interval.low:+.{digits}f}, {interval.high:+.{digits}f}]"


if __name__ == "__main__":
    main()
