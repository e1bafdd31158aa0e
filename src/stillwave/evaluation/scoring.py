"""Score files in parallel, one task for each recording and system. Results do not depend on the number of jobs."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple

import numpy as np

from stillwave.audio import Samples, read, resample
from stillwave.console import track
from stillwave.cores import cores
from stillwave.errors import StillwaveError, fault_text
from stillwave.evaluation.full_band import FullBand
from stillwave.evaluation.metrics import (
    DEFAULT,
    METRICS,
    Score,
    aligned,
    choose,
    score,
    score_alone,
    unscored,
)
from stillwave.evaluation.processes import run
from stillwave.evaluation.recognisers import identity, load
from stillwave.evaluation.transcripts import AsrConfig, TranscriptPair, transcribe_all
from stillwave.files import printable
from stillwave.schema import SAMPLE_RATE

NOISY = "noisy"


@dataclass(frozen=True)
class Item:
    """One recording to score.

    Attributes:
        id: The name of the recording.
        clean: The clean reference; None if it is missing.
        estimates: The file of each system.
        snr_db: The SNR of the mixture, if known.
        problems: By system, why it has no file.
        text: The reference text, if known.

    """

    id: str
    clean: Path | None
    estimates: Mapping[str, Path]
    snr_db: float | None = None
    problems: Mapping[str, str] = field(default_factory=dict)
    text: str = ""


@dataclass(frozen=True)
class ScoreRow:
    """The scores of one recording and system.

    Attributes:
        id: The name of the recording.
        system: The name of the system.
        snr_db: The SNR of the mixture, if known.
        scores: By metric.
        inverted: Whether the polarity is opposite to that of the reference.
        transcripts: The transcripts, if there is a recogniser.
        lag: The delay of the estimate in samples at 16 kHz; negative is early.

    """

    id: str
    system: str
    snr_db: float | None
    scores: Mapping[str, Score]
    inverted: bool = False
    transcripts: TranscriptPair | None = None
    lag: int = 0


@dataclass(frozen=True)
class Scores:
    """All rows, by recording and system, with the name and version of the recogniser and its references."""

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
    asr: AsrConfig | None = None,
) -> Scores:
    """Score every system of every recording.

    Args:
        items: The recordings.
        metrics: Keys of `METRICS`.
        jobs: The number of processes; by default one for each core. The values do not depend on it.
        quiet: Show no progress bar.
        asr: The recogniser, which transcribes every file once; adds `wer` to the metrics.

    Returns:
        The scores. A file that cannot be scored is a row of reasons.

    Raises:
        StillwaveError: No items, an unknown metric, or a recogniser that cannot be used.

    """
    if not items:
        raise StillwaveError("there is nothing to score: no recordings are paired")
    keys = choose(metrics, asr is not None)
    systems = _in_order(items)
    jobs = jobs or cores()
    pairs = transcribe_all(items, asr, jobs, quiet) if asr else {}
    tasks = [(item, system, keys, pairs.get((item.id, system))) for item in items for system in systems]
    done = run(score_file, tasks, jobs)
    rows = list(done if quiet else track(done, "score", total=len(tasks)))
    if asr is None:
        return Scores(systems, keys, tuple(rows))
    return Scores(systems, keys, tuple(rows), identity(load(asr.recogniser)), asr.references)


def _in_order(items: Sequence[Item]) -> tuple[str, ...]:
    """Systems in the order of the item with most files, `noisy` first."""
    fullest = max(items, key=lambda item: len(item.estimates))
    others = [name for item in (fullest, *items) for name in (*item.estimates, *item.problems)]
    return tuple(dict.fromkeys(sorted(others, key=lambda name: name != NOISY)))


def score_file(
    item: Item, system: str, keys: Sequence[str], transcripts: TranscriptPair | None = None
) -> ScoreRow:
    """Return the scores of one recording and system."""

    def without(reason: str) -> ScoreRow:
        scores = unscored(reason, keys, transcripts)
        return ScoreRow(item.id, system, item.snr_db, scores, transcripts=transcripts)

    if system not in item.estimates:
        return without(item.problems.get(system, "there is no file"))
    if item.clean is None:
        return _without_reference(item, system, keys, transcripts)
    try:
        clean, estimate = _load(item.clean), _load(item.estimates[system])
    except Exception as error:  # decoders raise any exception; other files are still scored
        return without(_without_path(fault_text(error), item))
    if clean.rate != estimate.rate:  # resampling one of them would choose the compared band without asking
        return without(f"sampling rates differ: {clean.rate} Hz of reference, {estimate.rate} Hz of estimate")
    full_band = FullBand(clean.own, estimate.own, clean.rate)
    if any(METRICS[key].noisy for key in keys) and NOISY in item.estimates:
        full_band = full_band._replace(noisy=_noisy(item.estimates[NOISY], clean.rate))
    scores = score(clean.at_16_khz, estimate.at_16_khz, keys, transcripts, full_band)
    lag, inverted = aligned(clean.at_16_khz, estimate.at_16_khz)
    return ScoreRow(item.id, system, item.snr_db, scores, inverted, transcripts, lag)


def _without_reference(
    item: Item, system: str, keys: Sequence[str], transcripts: TranscriptPair | None
) -> ScoreRow:
    reason = "there is no clean file of this name"
    try:
        estimate = (
            _load(item.estimates[system]).at_16_khz if any(not METRICS[k].reference for k in keys) else None
        )
    except Exception as error:  # decoders raise any exception; other files are still scored
        estimate, reason = None, _without_path(fault_text(error), item)
    if estimate is None:
        scores = unscored(reason, keys, transcripts)
    else:
        scores = score_alone(estimate, keys, reason, transcripts)
    return ScoreRow(item.id, system, item.snr_db, scores, transcripts=transcripts)


def _without_path(message: str, item: Item) -> str:
    """Replace file names in a message, so that the same fault of several files counts as one reason."""
    for path in item.estimates.values():
        message = message.replace(f"{path}: ", "the estimate: ")
    return printable(" ".join(message.replace(f"{item.clean}: ", "the reference: ").split()))


def mean_score(metric: str, clean: Sequence[Samples], estimates: Sequence[Samples]) -> tuple[float, int]:
    """Return the mean of a metric over signals `[N]` at 16 kHz, and the number of signals without a value.

    The mean is over the signals with a value; NaN if there are none.
    """
    scores = [score(c, e, (metric,))[metric].value for c, e in zip(clean, estimates, strict=True)]
    values = [value for value in scores if value is not None]
    return (math.fsum(values) / len(values) if values else math.nan), len(scores) - len(values)


class _Recording(NamedTuple):
    """Samples at 16 kHz and at the rate of the file, `[N]` if mono and `[channels, N]` otherwise."""

    at_16_khz: Samples
    own: Samples
    rate: int


def _load(path: Path) -> _Recording:
    samples, rate = read(path)
    own = _mono(samples)
    return _Recording(own if rate == SAMPLE_RATE else _mono(resample(samples, rate, SAMPLE_RATE)), own, rate)


def _mono(samples: Samples) -> Samples:
    return np.ascontiguousarray(samples[0] if len(samples) == 1 else samples)


def _noisy(path: Path, rate: int) -> Samples | str:
    """Return the noisy input `[N]`, or why it cannot be compared with signals at `rate`."""
    try:
        samples, own_rate = read(path)
    except Exception as error:  # decoders raise any exception; other metrics are still computed
        return printable(f"the noisy input: {fault_text(error).removeprefix(f'{path}: ')}")
    if len(samples) != 1:
        return f"the noisy input has {len(samples)} channels; mono is required"
    if own_rate != rate:
        return f"sampling rates differ: {rate} Hz of reference, {own_rate} Hz of noisy input"
    return _mono(samples)
