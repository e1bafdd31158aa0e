"""What the LADSPA plug-in takes in real time at 48 kHz: the share of a core and the time of a callback.

    python benchmarks/ladspa_plugin.py [--block 480] [--seconds 20] [--repeats 5] [--core 0] [--models bsrnn-xs …]

The host (`tests/_support/ladspa_host.c`) calls back in real time, with real-time priority where that is permitted. It
counts the allocations and locks of the callbacks. The share of a core is the processor time of host and plug-in over
the duration of the sound. Each repeat is a process of its own; shown are the median and the range over repeats, and the
longest callback of all.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

from stillwave import provenance

ROOT = Path(__file__).resolve().parents[1]
PACKAGE = ROOT / "packages" / "stillwave-ladspa"
RATE = 48_000


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--block", type=int, default=480, help="samples per callback")
    parser.add_argument("--seconds", type=float, default=20)
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--core", type=int, help="run on this core only")
    parser.add_argument("--models", nargs="+", default=["bsrnn-xs", "bsrnn-s", "bsrnn-m"])
    options = parser.parse_args()
    if options.core is not None and hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, {options.core})
    print(provenance.machine())
    print("| model | share of a core | callback, median | p99 | longest | allocations and locks |")
    print("|---|---|---|---|---|---|")
    with tempfile.TemporaryDirectory() as folder:
        for model in options.models:
            build(Path(folder), model)
            runs = [measure(Path(folder), options) for _ in range(options.repeats)]
            cells = [
                spread([100 * run["core"] for run in runs], "%.1f", " %"),
                *(spread([run[key] for run in runs], "%.0f", " µs") for key in ("median_us", "p99_us")),
                f"{max(run['most_us'] for run in runs):,.0f} µs",
                f"{sum(run['allocations'] + run['locks'] for run in runs)}",
            ]
            print(f"| {model} | {' | '.join(cells)} |", flush=True)


def build(folder: Path, model: str) -> None:
    """Build plug-in and host."""
    make = ["make", "-s", "-C", str(PACKAGE), f"BUILD={folder}", f"PYTHON={sys.executable}", f"MODEL={model}"]
    subprocess.run(make, check=True, stdout=subprocess.DEVNULL)
    source = ROOT / "tests" / "_support" / "ladspa_host.c"
    command = ["cc", "-O2", f"-I{PACKAGE}", "-o", str(folder / "host"), str(source), "-ldl", "-lpthread"]
    subprocess.run(command, check=True)


def measure(folder: Path, options: argparse.Namespace) -> dict[str, Any]:
    """Return what one run of the host printed."""
    numbers = [str(value) for value in (options.block, RATE, options.seconds, 1)]
    command = [str(folder / "host"), str(folder / "stillwave_ladspa.so"), *numbers]
    found: dict[str, Any] = json.loads(subprocess.run(command, capture_output=True, check=True).stdout)
    return found


def spread(values: list[float], form: str, unit: str) -> str:
    """Return median and range."""
    median, least, most = (form % value for value in (statistics.median(values), min(values), max(values)))
    return f"{median}{unit} ({least} … {most})"


if __name__ == "__main__":
    main()
