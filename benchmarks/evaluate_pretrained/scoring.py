"""Enhance and score what is not there yet. Every run's recordings and scores are kept under its fingerprint."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from stillwave.audio import Samples, read, write
from stillwave.console import track
from stillwave.data.pair_sets import Pair, read_pairs
from stillwave.errors import StillwaveError
from stillwave.evaluation.processes import run as in_processes
from stillwave.evaluation.recognisers import identity, load
from stillwave.evaluation.scoring import Item, ScoreRow, score_file
from stillwave.evaluation.transcripts import Transcript, TranscriptPair, transcribe_file
from stillwave.files import write_json
from stillwave.stats.crossed import Array

from .systems import NOISY, Run, System

METRICS = ("pesq_wb", "pesq_nb", "stoi", "si_sdr", "dnsmos_sig", "dnsmos_bak", "dnsmos_ovrl", "wer")
RECOGNISER = "pocketsphinx"
KEY = 16
"""Characters of a fingerprint that name a folder."""


@dataclass(frozen=True)
class Place:
    """The test set and where results are kept."""

    pairs: Sequence[Pair]
    test: str
    """SHA-256 over all recordings: scores of other recordings are not taken for these."""
    work: Path
    jobs: int
    frozen: bool = False
    """Whether what is not kept is a fault, and not computed."""

    def compute(self, what: str) -> None:
        """Raise StillwaveError where nothing may be computed."""
        if self.frozen:
            raise StillwaveError(f"{what}: not there yet under {self.work}; run it without --page first")

    @classmethod
    def of(cls, folder: Path, work: Path, jobs: int, first: int | None = None, frozen: bool = False) -> Place:
        """Read a test set, or the first so many pairs of it."""
        pairs = read_pairs(folder)[:first]
        digest = hashlib.sha256()
        for pair in pairs:
            digest.update(pair.noisy.read_bytes() + pair.clean.read_bytes())
        return cls(pairs, digest.hexdigest(), work, jobs, frozen)


@dataclass(frozen=True)
class Scored:
    """A system's values by metric, `[runs, recordings]`, NaN where there is none, and what was heard of its first."""

    system: System
    values: Mapping[str, Array]
    heard: Mapping[str, str]

    @property
    def seeds(self) -> list[int]:
        """Of its runs, by which differences are paired: their places where seeds are not known or not unlike."""
        known = [run.seed for run in self.system.runs]
        whole = [seed for seed in known if seed is not None]
        return whole if len(set(whole)) == len(known) else list(range(len(known)))

    def minus(self, other: Scored, metric: str) -> Array:
        """Differences `[runs, recordings]` over the seeds that both have; from the input or a peer over all of them."""
        if not other.system.is_network:
            return np.asarray(self.values[metric] - other.values[metric])
        common = [seed for seed in self.seeds if seed in other.seeds]
        if not common:
            raise StillwaveError(f"'{self.system.name}' and '{other.system.name}' have no seed in common")
        mine, its = ([side.seeds.index(seed) for seed in common] for side in (self, other))
        return np.asarray(self.values[metric][mine] - other.values[metric][its])


def score_all(systems: Sequence[System], place: Place) -> dict[str, Scored]:
    """By name, in the order given."""
    return {
        system.name: _gather(system, [score_run(run, place) for run in system.runs]) for system in systems
    }


def _gather(system: System, found: Sequence[Mapping[str, Any]]) -> Scored:
    values = {
        metric: np.array([[_number(row[metric]) for row in one["rows"].values()] for one in found])
        for metric in METRICS
    }
    return Scored(system, values, found[0]["heard"])


def _number(value: float | str) -> float:
    return float("nan") if isinstance(value, str) else value


def score_run(run: Run, place: Place) -> Mapping[str, Any]:
    """`rows`: recording → metric → a value, or the reason for none. Kept; another test set scores anew."""
    file = place.work / "scores" / f"{run.fingerprint[:KEY]}.json"
    key = {"test": place.test, "metrics": list(METRICS), "recogniser": identity(load(RECOGNISER))}
    kept = read_kept(file, key)
    if kept is None:
        place.compute(f"scores of {run.system}")
        files = enhance_all(run, place)
        spoken = _transcripts([pair.clean for pair in place.pairs], place, "clean")
        written = _transcripts(files, place, run.system)
        tasks = [
            (
                Item(pair.id, pair.clean, {run.system: file}, pair.snr_db),
                run.system,
                METRICS,
                TranscriptPair(*both),
            )
            for pair, file, both in zip(place.pairs, files, zip(spoken, written, strict=True), strict=True)
        ]
        rows = track(in_processes(score_file, tasks, place.jobs), f"score {run.system}", total=len(tasks))
        kept = {
            **key,
            "rows": {row.id: _plain(row) for row in rows},
            "heard": {p.id: text.text or "" for p, text in zip(place.pairs, written, strict=True)},
        }
        write_json(file, kept)
    return kept


def _plain(row: ScoreRow) -> dict[str, float | str]:
    return {
        metric: score.value if score.value is not None else str(score.reason)
        for metric, score in row.scores.items()
    }


def _transcripts(files: Sequence[Path], place: Place, name: str) -> list[Transcript]:
    """Of the clean files kept, since every run needs them."""
    kept = place.work / "scores" / f"clean-{place.test[:KEY]}.json"
    key = {"recogniser": identity(load(RECOGNISER))}
    if name == "clean" and (found := read_kept(kept, key)):
        return [Transcript(*pair) for pair in found["texts"]]
    tasks = [(file, RECOGNISER) for file in files]
    done = in_processes(transcribe_file, tasks, place.jobs)
    texts = list(track(done, f"listen to {name}", total=len(tasks)))
    if name == "clean":
        write_json(kept, {**key, "texts": [list(text) for text in texts]})
    return texts


def enhance_all(run: Run, place: Place) -> list[Path]:
    """The run's estimates of all mixtures, in their order; those that are there are kept."""
    if run.system == NOISY:
        return [pair.noisy for pair in place.pairs]
    folder = place.work / "enhanced" / f"{run.fingerprint[:KEY]}-{place.test[:KEY]}"
    files = [folder / f"{pair.id}.wav" for pair in place.pairs]
    missing = [(pair, file) for pair, file in zip(place.pairs, files, strict=True) if not file.exists()]
    if missing:
        place.compute(f"estimates of {run.system}")
        enhance = run.open()
        for pair, file in track(missing, f"enhance with {run.system}"):
            samples, rate = read(pair.noisy)
            write(file, enhance(samples, rate), rate, subtype="FLOAT")
    return files


def read_kept(file: Path, key: Mapping[str, Any]) -> dict[str, Any] | None:
    """What a file keeps, if it belongs to `key`."""
    if not file.exists():
        return None
    kept: dict[str, Any] = json.loads(file.read_text(encoding="utf-8"))
    return kept if all(kept.get(name) == value for name, value in key.items()) else None


def mono(path: Path) -> Samples:
    """The one channel of a recording of the test set."""
    return np.ascontiguousarray(read(path)[0][0])
