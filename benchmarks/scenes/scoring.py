"""Scores of runs and baselines on the test scenes, a file each, which says what was scored. What is there is kept."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from stillwave import checkpoint
from stillwave.baselines.run import run as run_baseline
from stillwave.console import track
from stillwave.data.pair_sets import Pair, read_pairs
from stillwave.evaluation import score_pairs
from stillwave.evaluation.inputs import from_checkpoints
from stillwave.evaluation.processes import run as in_processes
from stillwave.evaluation.recognisers import identity, load
from stillwave.evaluation.scoring import Item
from stillwave.evaluation.transcripts import transcribe_file
from stillwave.files import write_json

from .material import Corpora
from .training import runs

SIGNALS = ("si_sdr", "stoi", "pesq_wb")
RECOGNISER = "pocketsphinx"
BASELINES = {"w": "channel W as it is", "cardioid": "cardioid at the talker", "mvdr": "MVDR, estimated mask"}
CLEAN = "clean"


@dataclass(frozen=True)
class Subject:
    """What is scored: a finished run, a baseline, or the targets, which are only heard."""

    name: str
    seed: int | None = None
    run: Path | None = None

    @property
    def label(self) -> str:
        """Names its folder and file."""
        return self.name if self.seed is None else f"{self.name}-seed-{self.seed}"

    def file(self, place: Path) -> Path:
        """What is known of it."""
        return place / "scores" / f"{self.label}.json"

    @property
    def weights(self) -> str:
        """SHA-256 of a run's; nothing of what has none."""
        return checkpoint.read_card(checkpoint.resolve(self.run)).sha256 if self.run else ""


def subjects(place: Path) -> Iterator[Subject]:
    yield Subject(CLEAN)
    yield from map(Subject, BASELINES)
    yield from (Subject(s.name, seed, s.folder(place, seed)) for s, seed in runs(place))


def score(place: Path, corpora: Corpora, jobs: int, *, words: bool) -> None:
    """All that is not scored yet: first every signal, then, as they take longest, the words."""
    pairs = read_pairs(corpora.manifest("test"))
    todo = list(subjects(place))
    for subject in track(todo, "score signals"):
        if subject.name != CLEAN and "values" not in known(subject, place):
            keep(subject, place, values=signals(subject, place, pairs, jobs))
    if not words:
        return
    hearer = identity(load(RECOGNISER))
    for subject in track(sorted(todo, key=lambda each: each.seed or 0), "hear words"):
        if "heard" not in known(subject, place):
            files = [estimates(subject, place, pairs)[pair.id] for pair in pairs]
            done = in_processes(transcribe_file, [(file, RECOGNISER) for file in files], jobs)
            heard = {pair.id: list(said) for pair, said in zip(pairs, done, strict=True)}
            keep(subject, place, heard=heard, recogniser=hearer)


def known(subject: Subject, place: Path) -> dict[str, Any]:
    """What is kept of a subject; nothing where that is of other weights."""
    try:
        found = json.loads(subject.file(place).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return dict(found) if found.get("weights") == subject.weights else {}


def keep(subject: Subject, place: Path, **facts: Any) -> None:
    file = subject.file(place)
    file.parent.mkdir(parents=True, exist_ok=True)
    write_json(file, {**known(subject, place), "weights": subject.weights, **facts})


def signals(
    subject: Subject, place: Path, pairs: Sequence[Pair], jobs: int
) -> dict[str, dict[str, float | None]]:
    """Recording → metric → value."""
    enhance(subject, place, pairs, jobs)
    files = estimates(subject, place, pairs)
    items = [Item(pair.id, pair.clean, {subject.label: files[pair.id]}, pair.snr_db) for pair in pairs]
    rows = score_pairs(items, SIGNALS, jobs, quiet=True).rows
    return {row.id: {key: found.value for key, found in row.scores.items()} for row in rows}


def estimates(subject: Subject, place: Path, pairs: Sequence[Pair]) -> dict[str, Path]:
    if subject.name == CLEAN:
        return {pair.id: pair.clean for pair in pairs}
    return {pair.id: place / "enhanced" / subject.label / f"{pair.id}.wav" for pair in pairs}


def enhance(subject: Subject, place: Path, pairs: Sequence[Pair], jobs: int) -> None:
    """Write `enhanced/LABEL/ID.wav`."""
    out = place / "enhanced"
    if subject.run is None:
        run_baseline(subject.name, pairs, out / subject.label, jobs=jobs)
    else:
        alone = {subject.label: subject.run}
        from_checkpoints(place.parent / "l3das" / "test.jsonl", alone, out, "cpu", quiet=True)
