"""The number of threads of a run: given by the user, or measured once when the run starts.

If other programs use the cores, PyTorch's threads wait for each other, and one thread can be many times faster than one
for each core (`benchmarks/busy_cores.py`). The number of threads can change the last bits of a sum, so a resumed run
keeps its number.
"""

from __future__ import annotations

import json
import os
import statistics
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

import torch

from stillwave import checkpoint
from stillwave.losses import EnhancementLoss
from stillwave.models import build
from stillwave.schema import Recipe
from stillwave.training import run
from stillwave.training.distributed import World, share
from stillwave.training.networks import input_shape
from stillwave.training.teachers import distils, is_checkpoint

WORTH_MEASURING = 100
"""Runs of fewer updates are not measured, because measuring would take too much of their time."""
ROUNDS = 4
LIMIT_S = 20.0
"""No further round of measurements begins after this many seconds."""


class Choice(NamedTuple):
    """A number of threads, and one line that explains it; empty if there was no choice."""

    threads: int
    line: str = ""


@contextmanager
def chosen(recipe: Recipe, folder: Path, world: World, print_status: Callable[[str], None]) -> Iterator[int]:
    """Set the number of threads for a run, and state a choice by `print_status`."""
    before = torch.get_num_threads()
    try:
        choice = choose(recipe, folder, world)
        torch.set_num_threads(choice.threads)
        if world.is_main and choice.line:
            print_status(choice.line)
        yield choice.threads
    finally:
        torch.set_num_threads(before)


def choose(recipe: Recipe, folder: Path, world: World) -> Choice:
    """Choose by `train.threads`, else OMP_NUM_THREADS, else the number of earlier sessions, else a measurement."""
    if recipe.train.threads != "auto":
        return Choice(recipe.train.threads)
    most = available(world)
    if "OMP_NUM_THREADS" in os.environ or world.device.type != "cpu":
        return Choice(most)
    began, started = world.broadcast((_recorded(folder), _has_checkpoint(folder)))
    if started:
        return _as_before(began or most, most)
    if most == 1 or recipe.train.steps < WORTH_MEASURING:
        return Choice(most)
    seconds = measure(recipe, world, (1, most))
    threads = fastest(seconds)
    other = most if threads == 1 else 1
    return Choice(
        threads,
        f"training on {_counted(threads)}: {seconds[threads]:.2f} s for a forward and backward pass, "
        f"{seconds[other]:.2f} s on {_counted(other)}"
        + (
            " (other programs use the cores, or the network is too small for several threads)"
            if threads == 1
            else ""
        ),
    )


def available(world: World) -> int:
    """Return this process's part of the cores that it may use, at most PyTorch's number; OMP_NUM_THREADS overrides.

    PyTorch counts the cores of the machine. In a container that may use two of 64, its threads would wait for each
    other, and a step would take tens of times as long.
    """
    from joblib import cpu_count  # respects affinity and quotas of containers

    most = torch.get_num_threads()
    return most if "OMP_NUM_THREADS" in os.environ else max(1, min(most, cpu_count() // world.size))


def fastest(seconds: Mapping[int, float]) -> int:
    """Return the number of threads with the shortest time; the smaller one of equals."""
    return min(seconds, key=lambda count: (seconds[count], count))


def measure(recipe: Recipe, world: World, counts: tuple[int, ...]) -> dict[int, float]:
    """Return the seconds of a pass for each number of threads: medians of alternating rounds after a warm-up.

    Processes measure at the same time, as they will train, and use the mean.
    """
    one_pass = _passes(recipe, world)
    seconds: dict[int, list[float]] = {count: [] for count in counts}
    started = time.perf_counter()
    for _ in range(ROUNDS):
        for count in counts:
            torch.set_num_threads(count)
            begun = time.perf_counter()
            one_pass()
            seconds[count].append(time.perf_counter() - begun)
        if time.perf_counter() - started > LIMIT_S:
            break
    medians = [statistics.median(times[1:] or times) for times in seconds.values()]
    return dict(zip(counts, world.mean(torch.tensor(medians)).tolist(), strict=True))


def _passes(recipe: Recipe, world: World) -> Callable[[], None]:
    """Return a forward and backward pass on separate networks and signals."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(recipe.seed)
        student = build(recipe.model)
        rows = share(recipe.train.batch_size, world)
        noisy = 0.1 * torch.randn(rows, *input_shape(recipe))
        clean = 0.1 * torch.randn(rows, noisy.shape[-1])
    loss = EnhancementLoss(recipe.loss, recipe.model.sample_rate)
    teacher = None
    if recipe.distill is not None and distils(recipe) and is_checkpoint(recipe.distill):
        teacher = checkpoint.load(recipe.distill.teacher)[0]

    def one_pass() -> None:
        if teacher is not None:
            with torch.no_grad():
                teacher(noisy)
        loss(student(noisy), clean)["total"].backward()

    return one_pass


def _as_before(began: int, most: int) -> Choice:
    if began <= most:
        return Choice(began)
    return Choice(
        most,
        f"this run began on {_counted(began)} and continues on {_counted(most)}, all that this process may use; the "
        "last bits may differ from those of an uninterrupted run",
    )


def _has_checkpoint(folder: Path) -> bool:
    return bool(checkpoint.numbered(folder / run.CHECKPOINTS, "step"))


def _recorded(folder: Path) -> int | None:
    """Return the number of threads of the latest session that recorded one."""
    found = [session.get("threads") for session in _sessions(folder) if isinstance(session, dict)]
    return next((count for count in reversed(found) if isinstance(count, int) and count > 0), None)


def _sessions(folder: Path) -> list[object]:
    try:
        found = json.loads((folder / run.ENVIRONMENT).read_text(encoding="utf-8"))["sessions"]
    except (OSError, ValueError, KeyError, TypeError):
        return []
    return found if isinstance(found, list) else []


def _counted(threads: int) -> str:
    return f"{threads} thread{'s' if threads > 1 else ''}"
