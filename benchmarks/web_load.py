"""Load of `stillwave web`: streams at real time beside clients that misbehave.

    python benchmarks/web_load.py --streams 100 --minutes 10 --workers 2

Starts a service, or measures the one at `--url` (without its memory). Each stream sends blocks of 20 ms at 16 kHz and
takes its answers. Beside them, one client takes no answers, one sends as fast as it can, one sends garbage and one
disconnects without a word, again and again; the service is started with room for them. Printed: the time from sending
the block that completes a frame to its answer (p50, p99, the greatest), how many streams ended too early or with
another number of samples, and the memory of the service with its slope and 95 % interval. The client runs on the
same cores unless it is started with others, so the figures include it.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import re
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import urlsplit

import numpy as np

from web_clients import (  # type: ignore[import-not-found]
    BLOCK,
    RATE,
    Result,
    flooding,
    garbage,
    leaving,
    stalling,
    stream,
)

WARM_UP = 0.25
"""Share of the time before the slope of the memory is measured."""


async def memory(processes: list[int], found: list[tuple[float, float]]) -> None:
    """Note the resident memory of all processes in MB once a second; pages that they share count once for each."""
    while processes:
        resident = 0
        for process in processes:
            lines = re.search(r"VmRSS:\s+(\d+)", Path(f"/proc/{process}/status").read_text())
            assert lines
            resident += int(lines[1])
        found.append((time.monotonic(), resident / 1024))
        await asyncio.sleep(1)


def family(process: int | None) -> list[int]:
    """Return a process and its children, in order."""
    if process is None:
        return []
    children = Path(f"/proc/{process}/task/{process}/children").read_text().split()
    return [process, *(one for child in children for one in family(int(child)))]


def slope(found: list[tuple[float, float]]) -> str:
    """Return the memory at the end and its slope with a 95 % interval, from batches of ten seconds."""
    rows = np.array(found[int(WARM_UP * len(found)) :])
    if len(rows) < 30:
        return "memory: too few values"
    means = rows[: len(rows) // 10 * 10].reshape(-1, 10, 2).mean(axis=1)
    minutes, size = (means[:, 0] - means[0, 0]) / 60, means[:, 1]
    rate, start = np.polyfit(minutes, size, 1)
    left = size - start - rate * minutes
    error = np.sqrt(left @ left / max(1, len(size) - 2) / ((minutes - minutes.mean()) ** 2).sum())
    return f"memory {size[-1]:.0f} MB, slope {rate:+.2f} ± {2 * error:.2f} MB a minute"


@contextmanager
def service(options: argparse.Namespace) -> Iterator[tuple[tuple[str, int], int | None]]:
    """Yield the address and the process of a service."""
    if options.url:
        parts = urlsplit(options.url)
        yield (str(parts.hostname), int(parts.port or 80)), None
        return
    command = [sys.executable, "-m", "stillwave", "web", "--no-open", "--port", "0", "-m", options.model]
    command += ["--workers", str(options.workers)]
    command += ["--max-streams", str(options.streams + (3 if options.misbehaving else 0))]
    process = subprocess.Popen(command, stderr=subprocess.PIPE, text=True, bufsize=1)
    try:
        assert process.stderr is not None
        found = re.search(r":(\d+)/", process.stderr.readline())
        assert found, process.stderr.read()
        yield ("127.0.0.1", int(found[1])), process.pid
    finally:
        ended = process.poll()
        process.terminate()
        process.wait()
        if ended is not None:
            sys.exit(f"the service ended with {ended}: {process.stderr.read() if process.stderr else ''}")


async def measure(address: tuple[str, int], process: int | None, options: argparse.Namespace) -> None:
    """Run the load and print what it measured."""
    for _ in range(300):
        try:
            (await asyncio.open_connection(*address))[1].close()
            break
        except OSError:
            await asyncio.sleep(0.2)
    result, sizes = Result(), list[tuple[float, float]]()
    greeting = json.dumps({"format": "s16le", "rate": RATE, "model": options.model}).encode()
    bad = [stalling, flooding, garbage, leaving] if options.misbehaving else []
    beside = [asyncio.ensure_future(one(address, greeting)) for one in bad]
    processes = family(process)
    beside.append(asyncio.ensure_future(memory(processes, sizes)))
    phases = [number * BLOCK / RATE / options.streams for number in range(options.streams)]
    before = time.process_time(), _cpu(processes)
    ended = await asyncio.gather(
        *(stream(address, options.model, 60 * options.minutes, phase, result) for phase in phases),
        return_exceptions=True,
    )
    used = time.process_time() - before[0], _cpu(processes) - before[1]
    for task in beside:
        task.cancel()
    result.faults += [repr(error) for error in ended if error]
    if not result.latencies:
        sys.exit(f"no answers: {result.faults[:3]}")
    p50, p99 = 1e3 * np.percentile(result.latencies, [50, 99])
    print(
        f"{options.streams} streams of {options.model} for {options.minutes:g} min, {len(result.latencies)} answers"
    )
    print(f"answer: p50 {p50:.1f} ms, p99 {p99:.1f} ms, greatest {1e3 * max(result.latencies):.0f} ms")
    print(f"streams with faults: {len(result.faults)} {result.faults[:3]}")
    print(
        f"CPU: service {used[1] / 60 / options.minutes:.2f} cores, this client {used[0] / 60 / options.minutes:.2f}"
    )
    print(slope(sizes))


def _cpu(processes: list[int]) -> float:
    """Return the seconds of processor time that processes have used."""
    seconds = 0.0
    for process in processes:
        fields = Path(f"/proc/{process}/stat").read_text().rpartition(") ")[2].split()
        seconds += (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")
    return seconds


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--url", help="address of a service that runs already")
    parser.add_argument("--streams", type=int, default=100)
    parser.add_argument("--minutes", type=float, default=10)
    parser.add_argument("--workers", type=int, default=1)
    parser.add_argument("--model", default="bsrnn-xs")
    parser.add_argument("--no-misbehaving", dest="misbehaving", action="store_false")
    options = parser.parse_args()
    with service(options) as (address, process):
        asyncio.run(measure(address, process, options))


if __name__ == "__main__":
    main()
