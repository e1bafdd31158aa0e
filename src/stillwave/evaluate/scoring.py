"""Scoring files in parallel: one task a file and system; order and values do not depend on the jobs."""

from __future__ import annotations

import math
import os
import signal
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from stillwave.audio import Samples, read, resample
from stillwave.console import track
from stillwave.errors import AudioError, StillwaveError
from stillwave.evaluate.metrics import DEFAULT, Score, choose, inverted, score
from stillwave.schema import SAMPLE_RATE

NOISY = "noisy"


@dataclass(frozen=True)
class Item:
    """One recording to score: its reference, the file of each system, and the SNR it was mixed at, if known.

    `clean` is None where there is no reference; `problems` says for a system why it has no file.
    """

    id: str
    clean: Path | None
    estimates: Mapping[str, Path]
    snr_db: float | None = None
    problems: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Row:
    """What one system got for one recording. `inverted`: its polarity is opposite to the reference's."""

    id: str
    system: str
    snr_db: float | None
    scores: Mapping[str, Score]
    inverted: bool = False


@dataclass(frozen=True)
class Scores:
    """All rows, by recording and then by system."""

    systems: tuple[str, ...]
    metrics: tuple[str, ...]
    rows: tuple[Row, ...]


def cores() -> int:
    """Processors that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def score_pairs(
    items: Sequence[Item], metrics: Sequence[str] = DEFAULT, jobs: int | None = None, quiet: bool = False
) -> Scores:
    """Score every system of every item. `jobs` processes, by default one a core; values do not depend on them.

    Raises StillwaveError for an unknown metric or no items. A file that cannot be scored is a row of reasons.
    """
    if not items:
        raise StillwaveError("there is nothing to score: no recordings are paired")
    keys = choose(metrics)
    systems = _in_order(items)
    tasks = [(item, system) for item in items for system in systems]
    jobs = min(jobs or cores(), len(tasks))
    done = _in_processes(tasks, keys, jobs) if jobs > 1 else (score_file(*task, keys) for task in tasks)
    rows = list(done if quiet else track(done, "score", total=len(tasks)))
    return Scores(systems, keys, tuple(rows))


def _in_order(items: Sequence[Item]) -> tuple[str, ...]:
    """Systems as the item with most files has them, `noisy` first: a file that is absent moves none."""
    fullest = max(items, key=lambda item: len(item.estimates))
    others = [name for item in (fullest, *items) for name in (*item.estimates, *item.problems)]
    return tuple(dict.fromkeys(sorted(others, key=lambda name: name != NOISY)))


def _in_processes(tasks: Sequence[tuple[Item, str]], keys: Sequence[str], jobs: int) -> Iterator[Row]:
    from joblib import Parallel, delayed, parallel_config
    from joblib.externals.loky.process_executor import TerminatedWorkerError

    try:
        with parallel_config(backend="loky", inner_max_num_threads=1, initializer=_leave_ctrl_c):
            # Files take from 50 ms to seconds: one at a time keeps all processes busy to the end.
            pool = Parallel(n_jobs=jobs, return_as="generator", batch_size=1)
            yield from pool(delayed(score_file)(item, system, keys) for item, system in tasks)
    except TerminatedWorkerError:
        raise StillwaveError(
            "a scoring process was ended from outside, perhaps for want of memory; try fewer jobs"
        ) from None


def _leave_ctrl_c() -> None:
    """Ctrl-C reaches every process of a terminal; the parent ends the others, which have nothing to say."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)


def score_file(item: Item, system: str, keys: Sequence[str]) -> Row:
    """One row."""

    def without(reason: str) -> Row:
        return Row(item.id, system, item.snr_db, {key: Score(None, reason) for key in keys})

    if system not in item.estimates:
        return without(item.problems.get(system, "there is no file"))
    if item.clean is None:
        return without("there is no clean file of this name")
    try:
        (clean, rate), (estimate, other) = _load(item.clean), _load(item.estimates[system])
    except AudioError as error:
        return without(_without_path(str(error), item))
    if (
        rate != other
    ):  # neither is resampled to the other in silence: which band is compared is the user's choice
        return without(f"sampling rates differ: {rate} Hz of reference, {other} Hz of estimate")
    return Row(item.id, system, item.snr_db, score(clean, estimate, keys), inverted(clean, estimate))


def _without_path(message: str, item: Item) -> str:
    """So that equal faults of many files count as one reason; the row says which file it is."""
    for path in item.estimates.values():
        message = message.replace(f"{path}: ", "the estimate: ")
    return " ".join(message.replace(f"{item.clean}: ", "the reference: ").split())


def mean_score(metric: str, clean: Sequence[Samples], estimates: Sequence[Samples]) -> tuple[float, int]:
    """Mean of one metric over signals `[N]` at 16 kHz that have a value, and how many have none.

    The mean is NaN where none has.
    """
    scores = [score(c, e, (metric,))[metric].value for c, e in zip(clean, estimates, strict=True)]
    values = [value for value in scores if value is not None]
    return (math.fsum(values) / len(values) if values else math.nan), len(scores) - len(values)


def _load(path: Path) -> tuple[Samples, int]:
    """A file at 16 kHz: `[N]`, or `[channels, N]` where it has several (which is then a fault), and its own rate."""
    samples, rate = read(path)
    if rate != SAMPLE_RATE:
        samples = resample(samples, rate, SAMPLE_RATE)
    return np.ascontiguousarray(samples[0] if len(samples) == 1 else samples), rate
