"""Scoring files in parallel: one task a file and system; order and values do not depend on the jobs."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from stillwave.audio import Samples, read, resample
from stillwave.console import track
from stillwave.cores import cores
from stillwave.errors import StillwaveError, fault_text
from stillwave.evaluation.metrics import DEFAULT, Score, aligned, choose, score, unscored
from stillwave.evaluation.processes import run
from stillwave.evaluation.recognisers import identity, load
from stillwave.evaluation.transcripts import AsrConfig, TranscriptPair, transcribe_all
from stillwave.files import printable
from stillwave.schema import SAMPLE_RATE

NOISY = "noisy"


@dataclass(frozen=True)
class Item:
    """One recording to score: its reference, the file of each system, and the SNR it was mixed at, if known.

    `clean` is None where there is no reference; `problems` says for a system why it has no file; `text` is what is
    said in it, where that is known.
    """

    id: str
    clean: Path | None
    estimates: Mapping[str, Path]
    snr_db: float | None = None
    problems: Mapping[str, str] = field(default_factory=dict)
    text: str = ""


@dataclass(frozen=True)
class ScoreRow:
    """What one system got for one recording. `inverted`: its polarity is opposite to the reference's.

    `lag`: samples at 16 kHz by which it is late, early below 0. `heard`: the transcripts, where there is a
    recogniser.
    """

    id: str
    system: str
    snr_db: float | None
    scores: Mapping[str, Score]
    inverted: bool = False
    heard: TranscriptPair | None = None
    lag: int = 0


@dataclass(frozen=True)
class Scores:
    """All rows, by recording and then by system. `recogniser`: name and version; `references`: as `AsrConfig`."""

    systems: tuple[str, ...]
    metrics: tuple[str, ...]
    rows: tuple[ScoreRow, ...]
    recogniser: str = ""
    references: str = ""


def score_pairs(
    items: Sequence[Item],
    metrics: Sequence[str] = DEFAULT,
    jobs: int | None = None,
    quiet: bool = False,
    listening: AsrConfig | None = None,
) -> Scores:
    """Score every system of every item. `jobs` processes, by default one a core; values do not depend on them.

    With `listening`, a recogniser first hears every file once, and `wer` is among the metrics.

    Raises StillwaveError for an unknown metric, no items, or a recogniser that cannot be used. A file that cannot be
    scored is a row of reasons.
    """
    if not items:
        raise StillwaveError("there is nothing to score: no recordings are paired")
    keys = choose(metrics, listening is not None)
    systems = _in_order(items)
    jobs = jobs or cores()
    heard = transcribe_all(items, listening, jobs, quiet) if listening else {}
    tasks = [(item, system, keys, heard.get((item.id, system))) for item in items for system in systems]
    done = run(score_file, tasks, jobs)
    rows = list(done if quiet else track(done, "score", total=len(tasks)))
    if listening is None:
        return Scores(systems, keys, tuple(rows))
    return Scores(systems, keys, tuple(rows), identity(load(listening.recogniser)), listening.references)


def _in_order(items: Sequence[Item]) -> tuple[str, ...]:
    """Systems as the item with most files has them, `noisy` first: a file that is absent moves none."""
    fullest = max(items, key=lambda item: len(item.estimates))
    others = [name for item in (fullest, *items) for name in (*item.estimates, *item.problems)]
    return tuple(dict.fromkeys(sorted(others, key=lambda name: name != NOISY)))


def score_file(item: Item, system: str, keys: Sequence[str], heard: TranscriptPair | None = None) -> ScoreRow:
    """One row."""

    def without(reason: str) -> ScoreRow:
        return ScoreRow(item.id, system, item.snr_db, unscored(reason, keys, heard), heard=heard)

    if system not in item.estimates:
        return without(item.problems.get(system, "there is no file"))
    if item.clean is None:
        return without("there is no clean file of this name")
    try:
        (clean, rate), (estimate, other) = _load(item.clean), _load(item.estimates[system])
    except Exception as error:  # decoders fail in ways of their own; one file's fault is that file's
        return without(_without_path(fault_text(error), item))
    if (
        rate != other
    ):  # neither is resampled to the other in silence: which band is compared is the user's choice
        return without(f"sampling rates differ: {rate} Hz of reference, {other} Hz of estimate")
    scores = score(clean, estimate, keys, heard)
    lag, inverted = aligned(clean, estimate)
    return ScoreRow(item.id, system, item.snr_db, scores, inverted, heard, lag)


def _without_path(message: str, item: Item) -> str:
    """So that equal faults of many files count as one reason; the row says which file it is."""
    for path in item.estimates.values():
        message = message.replace(f"{path}: ", "the estimate: ")
    return printable(" ".join(message.replace(f"{item.clean}: ", "the reference: ").split()))


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
