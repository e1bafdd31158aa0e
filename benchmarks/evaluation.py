"""Time to score one set of recordings with 1, 2 and 4 processes.

    python benchmarks/evaluation.py [--folder DIR] [--jobs 1 2 4] [--repeats 3] [--json]

The set is DIR with `noisy/` and `clean/` (and `mixtures.csv`), or 40 synthetic recordings of 2 to 10 s. Processes
are started and have scored once before the clock runs. Repeats alternate between the numbers of processes, so
that a busy machine slows all of them; the load is reported, and the share of the processors that others took in
each run (from /proc/stat), because what others take is missing from the speed-up. The table goes to stdout.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import statistics
import sys
import tempfile
import time
from importlib.metadata import version
from pathlib import Path
from typing import Any

import joblib
import numpy as np

from stillwave.audio import write
from stillwave.evaluation import DEFAULT, Item, score_pairs
from stillwave.evaluation.inputs import from_checkpoints
from stillwave.schema import SAMPLE_RATE

SEED = 20261123


def main() -> None:
    options = arguments()
    with tempfile.TemporaryDirectory() as scratch:
        work = Path(scratch)
        items = from_checkpoints(options.folder or synthetic(work / "set"), {}, work)
        runs: dict[int, list[dict[str, float]]] = {jobs: [] for jobs in options.jobs}
        for repeat in range(options.repeats):
            for jobs in options.jobs:
                print(f"repeat {repeat + 1} of {options.repeats}: {jobs} jobs", file=sys.stderr)
                runs[jobs].append(measure(items, options.metrics.split(","), jobs))
    result = report(options, items, runs)
    print(json.dumps(result, indent=2) if options.json else markdown(result))


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--folder", type=Path, help="with noisy/ and clean/; by default synthetic recordings")
    parser.add_argument("--jobs", type=int, nargs="+", default=[1, 2, 4])
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--metrics", default=",".join(DEFAULT))
    parser.add_argument("--json", action="store_true", help="JSON instead of the table")
    return parser.parse_args()


def synthetic(folder: Path, count: int = 40) -> Path:
    """Harmonics with syllables, in white noise of 0 to 15 dB SNR."""
    rng = np.random.default_rng(SEED)
    for index in range(count):
        t = np.arange(int(rng.uniform(2, 10) * SAMPLE_RATE)) / SAMPLE_RATE
        phase = 2 * np.pi * rng.uniform(90, 250) * t + 3 * np.sin(8 * t)
        tone = sum(np.sin(k * phase + k) / (1 + ((k - 6) / 4) ** 2) for k in range(1, 25))
        clean = 0.05 * tone * (0.02 + np.clip(np.sin(4 * np.pi * t), 0, None) ** 2)
        noise = rng.standard_normal(len(t))
        gain = np.sqrt((clean**2).sum() / (noise**2).sum() / 10 ** (rng.uniform(0, 15) / 10))
        write(folder / "clean" / f"{index}.wav", clean.astype(np.float32), SAMPLE_RATE)
        write(folder / "noisy" / f"{index}.wav", (clean + gain * noise).astype(np.float32), SAMPLE_RATE)
    return folder


def measure(items: list[Item], metrics: list[str], jobs: int) -> dict[str, float]:
    score_pairs(items[: 2 * jobs], metrics, jobs, quiet=True)  # starts the processes and their imports
    before, start = busy_seconds(), time.perf_counter()
    score_pairs(items, metrics, jobs, quiet=True)
    seconds = time.perf_counter() - start
    return {"seconds": seconds, "busy": (busy_seconds() - before) / seconds}


def busy_seconds() -> float:
    """Processor time that the whole machine has spent on anything, ours included; NaN where /proc is not."""
    try:
        user, nice, system, *_ = map(int, Path("/proc/stat").read_text().split("\n")[0].split()[1:])
    except OSError:
        return float("nan")
    return (user + nice + system) / os.sysconf("SC_CLK_TCK")


def report(
    options: argparse.Namespace, items: list[Item], runs: dict[int, list[dict[str, float]]]
) -> dict[str, Any]:
    medians = {jobs: statistics.median(run["seconds"] for run in some) for jobs, some in runs.items()}
    one = medians[min(medians)]
    return {
        "recordings": len(items),
        "set": str(options.folder.name) if options.folder else "synthetic",
        "metrics": options.metrics,
        "seed": SEED,
        "repeats": options.repeats,
        "jobs": {
            str(jobs): {
                "seconds": round(medians[jobs], 2),
                "fastest": round(min(run["seconds"] for run in some), 2),
                "slowest": round(max(run["seconds"] for run in some), 2),
                "speed_up": round(one / medians[jobs], 2),
                "busy_cores": round(statistics.median(run["busy"] for run in some), 1),
            }
            for jobs, some in runs.items()
        },
        "machine": {
            "processor": platform.processor() or platform.machine(),
            "cores": joblib.cpu_count(),
            "load": round(os.getloadavg()[0], 1),
            "system": platform.platform(),
        },
        "versions": {"python": platform.python_version()}
        | {name: version(name) for name in ("stillwave", "numpy", "joblib", "pesq", "pystoi")},
    }


def markdown(result: dict[str, Any]) -> str:
    lines = [
        f"Scoring {result['recordings']} recordings ({result['set']}; {result['metrics']}), "
        f"median of {result['repeats']} repeats, seed {result['seed']}.",
        "",
        "| processes | seconds | fastest … slowest | speed-up | cores busy, ours and others' |",
        "|---|---|---|---|---|",
    ]
    lines += [
        f"| {jobs} | {run['seconds']} | {run['fastest']} … {run['slowest']} | {run['speed_up']} | {run['busy_cores']} |"
        for jobs, run in result["jobs"].items()
    ]
    machine = ", ".join(f"{key} {value}" for key, value in result["machine"].items())
    versions = ", ".join(f"{key} {value}" for key, value in result["versions"].items())
    return "\n".join([*lines, "", f"{machine}; {versions}"])


if __name__ == "__main__":
    main()
