"""docs/weights.md: the discussion, which is written by hand, and the tables."""

from __future__ import annotations

import datetime
import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from stillwave import pretrained
from stillwave.files import write_text
from stillwave.profiling.latency import machine
from stillwave.provenance import versions

from . import robustness, worst
from .place import Network
from .tables import head, row

DISCUSSION = Path(__file__).parents[1] / "weights" / "discussion.md"
HEAD = """# Scores of the shipped models

Scores of the shipped networks and of other denoisers on recordings that were not used for training, tuning or early
stopping. Intervals are bootstrap 95 % intervals over recordings.

`python benchmarks/weights.py --audio AUDIO --graphs PEERS`, {day}; {machine};
{versions}
"""
ABOUT = """PESQ, STOI (not extended, ×100) and SI-SDR (means removed) are against the clean reference. The others run
with their authors' weights, GTCRN and UL-UNAS as streaming graphs, DeepFilterNet3 and RNNoise at 48 kHz and back,
aligned (`benchmarks/peer_networks.py`). `teacher` is the checkpoint `denoiser-teacher`, which is not causal; the Wiener
filter and spectral gating are in `benchmarks/peers.py`."""
RATINGS = """### Ratings without a reference

DNSMOS P.835 rates speech, background and the whole from 1 to 5 (package `speechmos`)."""
WORDS = """### Words

Word error rate of faster-whisper tiny.en against the known texts, each recording clipped at 100 %."""


@dataclass
class Scores:
    """The folders that `stillwave evaluate` wrote for a test set."""

    title: str
    about: str
    quality: Path
    ratings: Path | None = None
    words: Path | None = None


@dataclass
class Results:
    """Everything on the page."""

    networks: Sequence[Network]
    """The default first."""
    scores: Sequence[Scores] = ()
    robustness: Mapping[str, Sequence[Mapping[str, Any]]] = field(default_factory=dict)
    worst: Sequence[Mapping[str, Any]] = ()


def write(results: Results, file: Path) -> None:
    """Write the page."""
    shown = ("stillwave", "torch", "onnxruntime", "pesq")
    intro = HEAD.format(
        day=datetime.date.today().isoformat(),
        machine=f"{os.cpu_count()} cores of {machine()['processor']}",
        versions=", ".join(f"{name} {version}" for name, version in versions().items() if name in shown),
    )
    discussion = DISCUSSION.read_text(encoding="utf-8").strip()
    write_text(file, "\n".join([intro, discussion, "", *lines(results)]).rstrip() + "\n")


def lines(results: Results) -> Iterator[str]:
    """Yield the lines of the tables."""
    for scores in results.scores:
        yield from (f"## {scores.title}", "", scores.about, "", *quality(scores.quality), "")
        for about, folder in ((RATINGS, scores.ratings), (WORDS, scores.words)):
            if folder:
                yield from (about, "", *first_table(folder), "")
    if results.scores:
        yield from (ABOUT, "", "## Size and cost", "", *costs(results.networks), "")
    if results.robustness:
        yield from ("## Other signals", "", robustness.ABOUT, "")
        for name, rows in results.robustness.items():
            yield from (f"### {name}", "", *robustness.table(rows), "")
    if results.worst:
        yield from ("## The ten smallest gains", "", worst.ABOUT.format(name=results.networks[0].name), "")
        yield from (*worst.table(results.worst), "", *worst.pictures(results.worst))


def quality(folder: Path) -> Iterator[str]:
    """Yield all tables of a summary.md, headings one level lower, without its title and its remarks."""
    text = (folder / "summary.md").read_text(encoding="utf-8")
    body = text.partition("\n| ")[2].partition("\n## Missing scores")[0]
    for line in f"| {body}".rstrip().splitlines():
        yield f"#{line}" if line.startswith("## ") else line


def first_table(folder: Path) -> Iterator[str]:
    """Yield the table of the means of a summary.md."""
    text = (folder / "summary.md").read_text(encoding="utf-8")
    yield from f"| {text.partition(chr(10) + '| ')[2]}".partition("\n\n")[0].splitlines()


def costs(networks: Sequence[Network]) -> Iterator[str]:
    """Yield facts of the shipped models."""
    yield from head("model", "parameters", "MMAC/s", "file", "mixtures in training")
    for network in networks:
        card = pretrained.card(network.name)
        size = network.path.stat().st_size / 1024
        macs = sum(card.cost.macs.values()) / card.cost.seconds / 1e6
        hours = f"{card.training.hours:,.1f} h"
        yield row(network.name, f"{card.parameters / 1e3:,.1f} k", f"{macs:,.0f}", f"{size:,.0f} KiB", hours)
    yield from ("", "Time per frame, beside other networks: [Streaming cost](benchmarks.md#streaming-cost).")
