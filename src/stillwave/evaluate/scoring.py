"""Scoring files in parallel: one task a file and system; order and values do not depend on the jobs."""

from __future__ import annotations

import math
import os
from collections.abc import Mapping, Sequence
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
    from joblib import Parallel, delayed, parallel_config

    if not items:
        raise StillwaveError("there is nothing to score: no recordings are paired")
    keys = choose(metrics)
    systems = tuple(dict.fromkeys(name for item in items for name in (*item.estimates, *item.problems)))
    tasks = [(item, system) for item in items for system in systems]
    jobs = min(jobs or cores(), len(tasks))
    if jobs == 1:
        done = (score_file(item, system, keys) for item, system in tasks)
        rows = list(done if quiet else track(done, "score", total=len(tasks)))
    else:
        with parallel_config(backend="loky", inner_max_num_threads=1):
            pool = Parallel(n_jobs=jobs, return_as="generator", batch_size=1)
            done = pool(delayed(score_file)(item, system, keys) for item, system in tasks)
            rows = list(done if quiet else track(done, "score", total=len(tasks)))
    return Scores(systems, keys, tuple(rows))


def score_file(item: Item, system: str, keys: Sequence[str]) -> Row:
    """One row."""

    def without(reason: str) -> Row:
        return Row(item.id, system, item.snr_db, {key: Score(None, reason) for key in keys})

    if system not in item.estimates:
        return without(item.problems.get(system, "there is no file"))
    if item.clean is None:
        return without("there is no clean file of this name")
    try:
        clean, estimate = _load(item.clean), _load(item.estimates[system])
    except AudioError as error:
        return without(str(error))
    return Row(item.id, system, item.snr_db, score(clean, estimate, keys), inverted(clean, estimate))


def mean_score(metric: str, clean: Sequence[Samples], estimates: Sequence[Samples]) -> tuple[float, int]:
    """Mean of one metric over signals `[N]` at 16 kHz that have a value, and how many have none.

    The mean is NaN where none has.
    """
    scores = [score(c, e, (metric,))[metric].value for c, e in zip(clean, estimates, strict=True)]
    values = [value for value in scores if value is not None]
    return (math.fsum(values) / len(values) if values else math.nan), len(scores) - len(values)


def _load(path: Path) -> Samples:
    """A file at 16 kHz: `[N]`, or `[channels, N]` where it has several (which is then a fault)."""
    samples, rate = read(path)
    if rate != SAMPLE_RATE:
        samples = resample(samples, rate, SAMPLE_RATE)
    return np.ascontiguousarray(samples[0] if len(samples) == 1 else samples)
