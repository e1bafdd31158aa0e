"""What a training step costs with each method, against the step of the student alone.

    python benchmarks/methods.py [--student 8x1] [--teacher 32x2] [--batch 4] [--seconds 1.5] [--device cpu]

Each method is a process of its own. In it steps of the student alone and steps with the method take turns, so that a
busy machine slows both; a ratio is of medians, its spread of the ratios of neighbours. A step is forward, loss,
backward and AdamW. "Teacher" is its forward pass, which every method needs and a cache of it saves. Memory is the peak
resident size with the method above the peak of the student alone (on a GPU: of what was allocated). The table goes to
stdout.
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
from collections.abc import Callable
from typing import Any

SEED = 0


def main() -> None:
    options = arguments()
    if options.only:
        print(json.dumps(measure(options)))
        return
    rows = {}
    for name in methods():
        print(name, file=sys.stderr)
        rows[name] = in_process(name)
    print(json.dumps(rows, indent=2) if options.json else markdown(rows, options))


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--student", default="8x1", help="channels x blocks")
    parser.add_argument("--teacher", default="32x2", help="channels x blocks")
    parser.add_argument("--batch", type=int, default=4)
    parser.add_argument("--seconds", type=float, default=1.5)
    parser.add_argument("--passes", type=int, default=7, help="timed steps of each kind")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--json", action="store_true", help="JSON instead of the table")
    parser.add_argument("--only", help=argparse.SUPPRESS)
    return parser.parse_args()


def methods() -> list[str]:
    """Every method, and the variants that compute something else (not those that leave something out)."""
    from stillwave.schema.methods import METHOD_CONFIGS

    return [name for name in METHOD_CONFIGS if name != "none"] + [
        "rkd-frames",
        "two_step-btf",
        "dispatch-mssp",
        "i2srf_tfckd-released",
        "i2srf_tfckd-frequency",
    ]


def in_process(name: str) -> dict[str, Any]:
    command = [sys.executable, *sys.argv, "--only", name]
    done = subprocess.run(command, check=False, capture_output=True, text=True)
    if done.returncode:
        sys.exit(f"{name} ended with status {done.returncode}: {done.stderr.strip().splitlines()[-1]}")
    found: dict[str, Any] = json.loads(done.stdout)
    return found


def measure(options: argparse.Namespace) -> dict[str, Any]:
    import torch

    torch.set_num_threads(options.threads)
    torch.manual_seed(SEED)
    noisy = 0.1 * torch.randn(options.batch, round(options.seconds * 16_000), device=options.device)
    clean = 0.1 * torch.randn_like(noisy)
    alone, _, _ = program(None, options, noisy, clean)
    alone()
    alone()
    plain_peak = peak(options.device)
    taught, teach, connectors = program(options.only, options, noisy, clean)
    taught()
    plain, method, teacher = [], [], []
    for _ in range(options.passes):
        plain.append(seconds(alone, options.device))
        method.append(seconds(taught, options.device))
        teacher.append(seconds(teach, options.device))
    return {
        "plain": plain,
        "method": method,
        "teacher": teacher,
        "bytes": peak(options.device) - plain_peak,
        "connectors": connectors,
    }


def program(
    name: str | None, options: argparse.Namespace, noisy: Any, clean: Any
) -> tuple[Callable[[], None], Callable[[], None], int]:
    """One training step, the teacher's forward pass, and the number of the connectors' parameters."""
    import torch

    from stillwave.distill import Distiller
    from stillwave.losses import EnhancementLoss
    from stillwave.schema import LossConfig

    student = network(options.student).to(options.device)
    criterion = EnhancementLoss(LossConfig()).to(options.device)
    distiller = None
    if name is not None:
        teacher = network(options.teacher).to(options.device)
        distiller = Distiller(teacher, student, name, example=noisy).to(options.device)
    connectors = [] if distiller is None else list(distiller.connectors())
    optimiser = torch.optim.AdamW([*student.parameters(), *connectors], lr=1e-3)

    def step() -> None:
        optimiser.zero_grad()
        if distiller is None:
            loss = criterion(student(noisy), clean)["total"]
        else:
            estimate, losses = distiller(noisy, clean=clean)
            loss = criterion(estimate, clean)["total"] + sum(losses.values())
        loss.backward()
        optimiser.step()

    def teach() -> None:
        with torch.no_grad():
            assert distiller is not None
            distiller.teacher(noisy)

    return step, teach, sum(p.numel() for p in connectors)


def network(size: str) -> Any:
    from stillwave.models import build
    from stillwave.schema import ModelConfig

    channels, blocks = map(int, size.split("x"))
    return build(ModelConfig(channels=channels, blocks=blocks))


def seconds(step: Callable[[], None], device: str) -> float:
    import torch

    if device != "cpu":
        torch.cuda.synchronize()
    start = time.perf_counter()
    step()
    if device != "cpu":
        torch.cuda.synchronize()
    return time.perf_counter() - start


def peak(device: str) -> int:
    """Peak bytes so far."""
    import torch

    if device != "cpu":
        return int(torch.cuda.max_memory_allocated())
    most = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return most if sys.platform == "darwin" else most * 1024


def markdown(rows: dict[str, Any], options: argparse.Namespace) -> str:
    import torch

    lines = [
        f"Student {options.student}, teacher {options.teacher} (channels x blocks), {options.batch} examples of "
        f"{options.seconds:g} s, {options.device}, {options.threads} thread(s), seed {SEED}, {platform.machine()} with "
        f"{os.cpu_count()} cores, torch {torch.__version__}. Medians of {options.passes} steps.",
        "",
        "| method | step, × the student alone | spread | without the teacher's pass | memory, MiB more | connectors |",
        "|---|---|---|---|---|---|",
    ]
    for name, row in rows.items():
        plain, method, teacher = (statistics.median(row[key]) for key in ("plain", "method", "teacher"))
        ratios = [b / a for a, b in zip(row["plain"], row["method"], strict=True)]
        lines.append(
            f"| {name} | {method / plain:.2f} | {min(ratios):.2f}–{max(ratios):.2f} | {(method - teacher) / plain:.2f} "
            f"| {row['bytes'] / 2**20:.0f} | {row['connectors']:,} |"
        )
    return "\n".join(lines)


if __name__ == "__main__":
    main()
