"""docs/weights.md: the head, what was written by hand, and the tables."""

from __future__ import annotations

import datetime
import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from stillwave.evaluation.recognisers import identity, load
from stillwave.files import write_text
from stillwave.profiling.latency import machine
from stillwave.provenance import versions

from . import robustness, tables, worst
from .scoring import RECOGNISER, Place, Scored

HAND = Path(__file__).parents[1] / "weights"
HEAD = """# Scores of the shipped models

Scores of the shipped networks on recordings that were not used for training, tuning or early stopping: {recordings}
mixtures ({seconds:.0f} s) at −5 … 15 dB SNR, one in five of them reverberant. Their speakers, noises and rooms are not
in the training set, but the speech is from the same corpus: English by speakers of Mandarin.
Intervals are 95 % intervals, over recordings and, where there are several, seeds.

`python benchmarks/weights.py --audio AUDIO --systems systems.yaml`, {day}; {machine}; {versions}
"""
ABOUT_QUALITY = """PESQ, STOI (not extended) and SI-SDR (means removed) are against the clean reference.
GTCRN's row was measured on the same mixtures with the weights that its authors trained on DNS3, run offline; scores
of single recordings are not available, so it has no interval; its cost is as stated by its authors. `gating`
is `noisereduce`, `wiener` a decision-directed Wiener filter (`benchmarks/peers.py`)."""
ABOUT_OTHERS = """DNSMOS P.835 rates without a reference (package `speechmos`). WER: {recogniser}, against
its transcript of the clean recording, clipped to 100 % per recording; it was trained on native speakers, and these
are not."""
ABOUT_COSTS = """Causal networks are timed frame by frame, with analysis and synthesis, as ONNX files
on one thread (`stillwave latency`); others by passes over 4 s. Delay: one window; none has a further look-ahead."""


@dataclass
class Results:
    """All that the page tells; what was not asked for is empty."""

    place: Place
    default: str
    scores: Mapping[str, Scored] = field(default_factory=dict)
    costs: Mapping[str, Any] = field(default_factory=dict)
    robustness: Mapping[str, Sequence[Mapping[str, Any]]] = field(default_factory=dict)
    worst: Sequence[Mapping[str, Any]] = ()


def write(results: Results, file: Path) -> None:
    """The whole page."""
    pairs = results.place.pairs
    head = HEAD.format(
        recordings=len(pairs),
        seconds=sum(pair.seconds or 0.0 for pair in pairs),
        day=datetime.date.today().isoformat(),
        machine=f"{os.cpu_count()} cores of {machine()['processor']}",
        versions=", ".join(
            f"{name} {version}"
            for name, version in versions().items()
            if name in ("stillwave", "torch", "onnxruntime", "pesq")
        ),
    )
    hand = (HAND / "discussion.md").read_text(encoding="utf-8").strip()
    write_text(file, "\n".join([head, hand, "", *lines(results)]) + "\n")


def lines(results: Results) -> Iterator[str]:
    """The tables of what was measured."""
    if results.scores:
        yield from _scores(results)
    if results.robustness:
        yield from ("## Other signals", "", robustness.ABOUT, "")
        for name, rows in results.robustness.items():
            yield from (f"### {name}", "", *robustness.table(rows), "")
    if results.worst:
        yield from ("## The ten smallest gains", "", worst.ABOUT.format(name=results.default), "")
        yield from (*worst.table(results.worst), "", *worst.pictures(results.worst))


def _scores(results: Results) -> Iterator[str]:
    scores, pairs = results.scores, results.place.pairs
    yield from ("## Scores", "", *tables.quality(scores), "")
    yield from (tables.against_gtcrn(scores[results.default]), "", ABOUT_QUALITY, "")
    yield from (*tables.others(scores), "", ABOUT_OTHERS.format(recogniser=identity(load(RECOGNISER))), "")
    yield from ("## Gains", "", *tables.gains(scores), "")
    if any(scored.system.against for scored in scores.values()):
        yield from (*tables.differences(scores), "")
    yield from ("## Costs", "", *tables.costs(results.costs["rows"]), "", ABOUT_COSTS, "")
    yield from ("## By SNR, and in rooms", "")
    for metric in tables.GROUPED:
        yield from (*tables.grouped(scores, pairs, metric), "")
    yield from (*tables.missing(scores), "")
