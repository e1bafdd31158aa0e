"""Cost of the distillation loss, forward and backward, at the paper's sizes: B = 8, T = 150, CPU.

    python benchmarks/distillation_step.py [--repeats 5] [--threads 4] [--json]

Compares a plain transcription of the formulas (`tests/_support/oracle.py`) with `stillwave.distill` on the
same random features and parameters. Each run is a process of its own; runs alternate, so that a busy machine
slows both. Time is of one forward and backward pass after a warm-up pass; memory is the peak resident size
over the whole run above what was resident once features and parameters were there. The table goes to stdout.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import resource
import statistics
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

SEED = 20250613
BATCH, FRAMES = 8, 150
TESTS = Path(__file__).parents[1] / "tests" / "_support"
PROGRAMS = {
    "plain": "plain transcription",
    "released": "stillwave, released embedding",
    "pooled": "stillwave, pooled embedding (default)",
}


def main() -> None:
    options = arguments()
    if options.only:
        print(json.dumps(measure(options.only, options.passes, options.threads)))
        return
    runs: dict[str, list[dict[str, Any]]] = {name: [] for name in PROGRAMS}
    for repeat in range(options.repeats):
        for name in PROGRAMS:
            print(f"run {repeat + 1} of {options.repeats}: {PROGRAMS[name]}", file=sys.stderr)
            runs[name].append(in_process(name, options))
    result = {"machine": machine(options), "programs": {name: summary(some) for name, some in runs.items()}}
    plain, ours = (result["programs"][name] for name in ("plain", "released"))
    result["deviation"] = abs(ours["loss"] / plain["loss"] - 1)
    print(json.dumps(result, indent=2) if options.json else markdown(result))


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--repeats", type=int, default=5, help="processes for each program")
    parser.add_argument("--passes", type=int, default=2, help="timed passes in each process")
    parser.add_argument("--threads", type=int, default=os.cpu_count())
    parser.add_argument("--json", action="store_true", help="JSON instead of the table")
    parser.add_argument("--only", choices=PROGRAMS, help=argparse.SUPPRESS)
    return parser.parse_args()


def in_process(name: str, options: argparse.Namespace) -> dict[str, Any]:
    command = [sys.executable, __file__, "--only", name]
    command += ["--passes", str(options.passes), "--threads", str(options.threads)]
    environment = {**os.environ, "OMP_NUM_THREADS": str(options.threads)}
    done = subprocess.run(command, env=environment, check=False, capture_output=True, text=True)
    if done.returncode:
        last = (done.stderr.strip().splitlines() or ["killed: the plain transcription needs 11 GiB"])[-1]
        sys.exit(f"{PROGRAMS[name]} ended with status {done.returncode}: {last}")
    found: dict[str, Any] = json.loads(done.stdout)
    return found


def measure(name: str, passes: int, threads: int) -> dict[str, Any]:
    import torch

    torch.set_num_threads(threads)
    torch.manual_seed(SEED)
    student, teacher = features(64, 1, True), features(128, 4, False)
    step = program(name, student, teacher)
    before = resident()
    seconds, processor = [], []
    for _ in range(passes + 1):
        for layers in student.values():
            for layer in layers:
                layer.grad = None
        start, used = time.perf_counter(), time.process_time()
        loss = step()
        loss.backward()
        seconds.append(time.perf_counter() - start)
        processor.append(time.process_time() - used)
    peak = resident() - before
    return {"seconds": seconds[1:], "processor": processor[1:], "bytes": peak, "loss": float(loss.detach())}


def features(channels: int, blocks: int, student: bool) -> dict[str, list[Any]]:
    """Features as DPDCRN with these channels and blocks gives them."""
    import torch

    def layer(depth: int, bins: int) -> Any:
        return torch.randn(BATCH, depth, FRAMES, bins).requires_grad_(student)

    return {
        "encoder": [layer(channels, 129), layer(channels, 64), layer(channels, 64)],
        "middle": [layer(channels, 64) for _ in range(blocks)],
        "decoder": [layer(channels, 64), layer(channels, 129), layer(2, 257)],
    }


def program(name: str, student: dict[str, list[Any]], teacher: dict[str, list[Any]]) -> Any:
    import torch

    from stillwave.distill import BatchInputs, I2srfTfckd, Layer, ModelOutputs, Shapes
    from stillwave.schema import I2srfTfckdConfig

    def shapes(sets: dict[str, list[Any]]) -> dict[str, tuple[Layer, ...]]:
        return {name: tuple(Layer(name, *f.shape[1:]) for f in layers) for name, layers in sets.items()}

    config = I2srfTfckdConfig(embedding="pooled" if name == "pooled" else "released")
    method = I2srfTfckd.build(config, Shapes(BATCH, shapes(student), shapes(teacher)))
    if name == "plain":
        sys.path.insert(0, str(TESTS))
        from oracle import distil  # type: ignore[import-not-found]
        from released_distillation import released_weights  # type: ignore[import-not-found]

        weights = released_weights(method)
        return lambda: sum(distil(student, teacher, weights).losses.values())
    nothing = torch.empty(0)
    observed = ModelOutputs(student, nothing), ModelOutputs(teacher, nothing)
    return lambda: sum(method.losses(*observed, BatchInputs(nothing)).values())


def resident() -> int:
    """Peak resident bytes so far."""
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else peak * 1024


def summary(runs: list[dict[str, Any]]) -> dict[str, Any]:
    return {
        "seconds": spread([second for run in runs for second in run["seconds"]]),
        "processor": spread([second for run in runs for second in run["processor"]]),
        "gib": spread([run["bytes"] / 2**30 for run in runs]),
        "loss": runs[0]["loss"],
    }


def spread(values: list[float]) -> dict[str, float]:
    return {"median": statistics.median(values), "min": min(values), "max": max(values)}


def machine(options: argparse.Namespace) -> dict[str, Any]:
    import torch

    return {
        "processor": platform.processor() or platform.machine(),
        "cores": os.cpu_count(),
        "threads": options.threads,
        "load": os.getloadavg()[0],
        "system": platform.platform(),
        "python": platform.python_version(),
        "torch": torch.__version__,
        "seed": SEED,
        "repeats": options.repeats,
    }


def markdown(result: dict[str, Any]) -> str:
    facts = ", ".join(f"{name} {value}" for name, value in result["machine"].items())
    lines = [
        f"B = {BATCH}, T = {FRAMES}; {facts}",
        f"relative difference of the released loss from the plain one: {result['deviation']:.1e}",
        "",
        "median (min – max); in brackets: of the plain transcription's median",
        "",
        "| program | seconds | processor seconds | peak GiB |",
        "|---|---|---|---|",
    ]
    plain = result["programs"]["plain"]
    for name, found in result["programs"].items():
        cells = [cell(found[key], plain[key]) for key in ("seconds", "processor", "gib")]
        lines.append(f"| {PROGRAMS[name]} | {' | '.join(cells)} |")
    return "\n".join(lines)


def cell(found: dict[str, float], plain: dict[str, float]) -> str:
    ratio = f"1/{plain['median'] / found['median']:.1f}"
    return f"{found['median']:.2f} ({found['min']:.2f} – {found['max']:.2f}) [{ratio}]"


if __name__ == "__main__":
    main()
