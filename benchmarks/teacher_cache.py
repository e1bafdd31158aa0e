"""What a cached teacher saves: steps with the teacher computing, against steps that read what it said.

    python benchmarks/teacher_cache.py [--student 8x1] [--teacher 32x2] [--batch 4] [--seconds 1.5]

The steps of a turn share one batch of their own: one with the teacher computing, one that computes and adds to the
cache, one that reads. A step is forward, loss, backward and AdamW. Reading is measured with files in the system's
memory, as they are while the runs of a grid follow one another closely, and, where the system lets go of them
(`posix_fadvise`), from the disk. The tables go to stdout.
"""

from __future__ import annotations

import argparse
import functools
import os
import platform
import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

SEED = 0
KINDS = {
    "live": "teacher computing",
    "fill": "computing and adding",
    "warm": "reading, from memory",
    "cold": "reading, from the disk",
}


def main() -> None:
    import torch

    options = arguments()
    torch.set_num_threads(options.threads)
    with tempfile.TemporaryDirectory(dir=options.folder) as scratch:
        rows = {
            (method, precision): measure(options, method, precision, Path(scratch) / f"{method}-{precision}")
            for method in options.methods
            for precision in ("float32", "float16")
        }
    print(markdown(rows, options))


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--student", default="8x1", help="channels x blocks")
    parser.add_argument("--teacher", default="32x2", help="channels x blocks")
    parser.add_argument("--methods", nargs="+", default=["output", "at", "i2srf_tfckd"])
    parser.add_argument("--batch", type=int, default=4)
    parser.add_argument("--seconds", type=float, default=1.5)
    parser.add_argument("--passes", type=int, default=7, help="timed steps of each kind")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument(
        "--folder", help="where the cache lies meanwhile; by default where temporary files do"
    )
    return parser.parse_args()


def measure(options: argparse.Namespace, method: str, precision: Any, folder: Path) -> dict[str, Any]:
    import torch

    from stillwave.distill.cache import TeacherCache, open_cache

    print(method, precision, file=sys.stderr)
    torch.manual_seed(SEED)
    distiller, step, alone = program(options, method)
    kept = open_cache(folder, "benchmark", 100, precision)
    found: dict[str, list[float]] = {kind: [] for kind in ("alone", *KINDS)}
    for number in range(options.passes + 1):
        noisy = 0.1 * torch.randn(options.batch, round(options.seconds * 16_000))

        def timed(kind: str, cache: TeacherCache | None, noisy: Any = noisy, number: int = number) -> None:
            distiller.cache = cache
            spent = seconds(lambda: step(noisy))
            if number:  # the first turn warms up
                found[kind].append(spent)

        spent = seconds(functools.partial(alone, noisy))
        if number:
            found["alone"].append(spent)
        timed("live", None)
        timed("fill", kept)
        timed("warm", kept)
        if forget(folder):
            timed("cold", kept)
    assert kept.files is not None
    return {**found, "bytes": kept.files.total() / (options.passes + 1)}


def program(
    options: argparse.Namespace, method: str
) -> tuple[Any, Callable[[Any], None], Callable[[Any], None]]:
    import torch

    from stillwave.distill import Distiller
    from stillwave.losses import EnhancementLoss
    from stillwave.schema import LossConfig

    student, teacher = network(options.student), network(options.teacher)
    example = torch.zeros(options.batch, round(options.seconds * 16_000))
    distiller = Distiller(teacher, student, method, example=example)
    criterion = EnhancementLoss(LossConfig())
    optimiser = torch.optim.AdamW([*student.parameters(), *distiller.connectors()], lr=1e-3)

    def update(loss: Any) -> None:
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()

    def step(noisy: Any) -> None:
        estimate, losses = distiller(noisy, clean=noisy)
        update(criterion(estimate, noisy)["total"] + sum(losses.values()))

    def alone(noisy: Any) -> None:
        update(criterion(student(noisy), noisy)["total"])

    return distiller, step, alone


def network(size: str) -> Any:
    from stillwave.models import build
    from stillwave.schema import ModelConfig

    channels, blocks = map(int, size.split("x"))
    return build(ModelConfig(channels=channels, blocks=blocks))


def seconds(step: Callable[[], None]) -> float:
    start = time.perf_counter()
    step()
    return time.perf_counter() - start


def forget(folder: Path) -> bool:
    """Make the system forget what it holds of these files; whether it can."""
    if not hasattr(os, "posix_fadvise"):
        return False
    for file in folder.glob("??/*"):
        handle = os.open(file, os.O_RDONLY)
        os.fsync(handle)
        os.posix_fadvise(handle, 0, 0, os.POSIX_FADV_DONTNEED)
        os.close(handle)
    return True


def markdown(rows: dict[tuple[str, str], dict[str, Any]], options: argparse.Namespace) -> str:
    import torch

    lines = [
        f"Student {options.student}, teacher {options.teacher} (channels x blocks), batches of {options.batch} x "
        f"{options.seconds:g} s, {options.threads} thread(s), seed {SEED}, {platform.machine()} with {os.cpu_count()} "
        f"cores, torch {torch.__version__}. Medians of {options.passes} steps, in ms; × is the gain over the step with "
        "the teacher computing.",
        "",
        "| method | precision | MB a batch | student alone | " + " | ".join(KINDS.values()) + " |",
        "|---" * (4 + len(KINDS)) + "|",
    ]
    for (method, precision), row in rows.items():
        cells = [f"{statistics.median(row['alone']) * 1e3:.0f}"]
        live = statistics.median(row["live"])
        for kind in KINDS:
            spent = statistics.median(row[kind]) if row[kind] else None
            gain = "" if spent is None or kind == "live" else f" ({live / spent:.2f}×)"
            cells.append("–" if spent is None else f"{spent * 1e3:.0f}{gain}")
        lines.append(f"| {method} | {precision} | {row['bytes'] / 1e6:.1f} | " + " | ".join(cells) + " |")
    return "\n".join(lines)


if __name__ == "__main__":
    main()
