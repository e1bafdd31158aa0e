"""What PyTorch's threads lose where others use the cores too, as GNU OpenMP lets them wait and as `stillwave` does.

    python benchmarks/busy_cores.py [--repeats 5]

Each measurement is a process of its own. "Busy": one more program computes on every core.
"""

from __future__ import annotations

import argparse
import os
import statistics
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager

from stillwave.cli import SPINS
from stillwave.cores import cores

WAITS = ("as GNU OpenMP waits", "as stillwave waits")
LIMIT_S = 300


def main() -> None:
    options = arguments()
    if options.measure:
        print(" ".join(f"{value:.6f}" for value in measure(options)))
        return
    print(
        f"bsrnn-m on {cores()} threads, {options.seconds:g} s; median (fastest … slowest) of {options.repeats}, ms\n"
    )
    print(f"| | cores | {' | '.join(WAITS)} | one thread |\n|---|---|---|---|---|")
    for kind in ("pass", "training step"):
        for state in ("idle", "busy"):
            with busy(cores() if state == "busy" else 0):
                shown = [row(options, kind, number) for number in range(3)]
            print(f"| {kind} | {state} | {' | '.join(shown)} |", flush=True)
    print(f"\nload before {os.getloadavg()[2]:.1f} (15 minutes); `one thread`: OMP_NUM_THREADS=1")


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--seconds", type=float, default=2.0, help="length of each example")
    parser.add_argument("--measure", choices=("pass", "training step"), help=argparse.SUPPRESS)
    return parser.parse_args()


def row(options: argparse.Namespace, kind: str, number: int) -> str:
    """One measurement in a process of its own, in milliseconds; `number`: of WAITS, then one thread."""
    environment = {k: v for k, v in os.environ.items() if not k.startswith(("OMP_", "GOMP_"))}
    if number == 1:
        environment["GOMP_SPINCOUNT"] = SPINS
    if number == 2:
        environment["OMP_NUM_THREADS"] = "1"
    sizes = ["--repeats", str(options.repeats), "--seconds", str(options.seconds)]
    command = [sys.executable, __file__, "--measure", kind, *sizes]
    try:
        done = subprocess.run(
            command, env=environment, capture_output=True, text=True, check=True, timeout=LIMIT_S
        )
    except subprocess.TimeoutExpired:
        return f"not done in {LIMIT_S} s"
    found = [1000 * float(value) for value in done.stdout.split()]
    return f"{statistics.median(found):.0f} ({min(found):.0f} … {max(found):.0f})"


def measure(options: argparse.Namespace) -> Iterator[float]:
    """Seconds of each repetition, after one that warms up."""
    import torch

    from stillwave.models import build
    from stillwave.schema import PRESETS

    torch.manual_seed(0)
    network = build(PRESETS["bsrnn-m"])
    training = options.measure == "training step"
    noisy = torch.randn(4 if training else 1, round(options.seconds * network.sample_rate))
    for turn in range(-1, options.repeats):
        start = time.perf_counter()
        with torch.set_grad_enabled(training):
            loss = network(noisy).square().mean()
        if training:
            loss.backward()
        if turn >= 0:
            yield time.perf_counter() - start


@contextmanager
def busy(processes: int) -> Iterator[None]:
    """So many programs that compute without end; each in a session of its own, which Linux shares cores among."""
    command = [sys.executable, "-c", "while True: pass"]
    others = [subprocess.Popen(command, start_new_session=True) for _ in range(processes)]
    try:
        yield
    finally:
        for other in others:
            other.kill()
            other.wait()


if __name__ == "__main__":
    main()
