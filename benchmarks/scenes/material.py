"""The scenes: training, development and test sets simulated from a folder of recordings. What is there is kept."""

from __future__ import annotations

import csv
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from stillwave.audio import Samples, read, write
from stillwave.data.manifest import Recording, write_manifest

SETS = {"train360": (2400, 0), "train100": (600, 0), "dev": (24, 1), "test": (40, 2)}
"""Set → clips and seed. The sets' names are the challenge's, their sizes are not."""
LONGEST = 6.0
"""Seconds of an utterance; longer ones are not used."""


@dataclass(frozen=True)
class Corpora:
    """A folder that holds a manifest of pairs for every set."""

    folder: Path

    def manifest(self, name: str) -> Path:
        """Of one of `SETS`."""
        return self.folder / f"{name}.jsonl"


def simulated(audio: Path, work: Path, jobs: int) -> Corpora:
    """Simulate what is not there yet. Speakers and noises of no two sets are the same, but of the training sets."""
    from stillwave.quickstart import data

    corpora = Corpora(work / "l3das")
    if all(corpora.manifest(name).exists() for name in SETS):
        return corpora
    found = data.own(audio, work / "material")
    held_out = work / "material" / "held_out" / "development"
    training = (Path(found.train.of("speech")[0].path), Path(found.train.of("noise")[0].path))
    sources = {
        "train360": training,
        "train100": training,
        "dev": (held_out / "speech.jsonl", held_out / "noise.jsonl"),
        "test": test_sources(audio / "test", corpora.folder / "test-sources"),
    }
    for name, (clips, seed) in SETS.items():
        if not corpora.manifest(name).exists():
            simulate(name, clips, seed, *sources[name], corpora, work / "material" / "cache", jobs)
    return corpora


def simulate(
    name: str, clips: int, seed: int, speech: Path, noise: Path, corpora: Corpora, cache: Path, jobs: int
) -> None:
    stillwave(
        *("data", "simulate", "-o", corpora.folder, "--subset", name, "--clips", clips, "--seed", seed),
        *("--speech", speech, "--noise", noise, "--max-seconds", LONGEST, "--cache", cache, "--jobs", jobs),
    )
    folder = corpora.folder / f"L3DAS23_Task1_{name}"
    stillwave("data", "scan", folder, "--corpus", "l3das23", "-o", corpora.manifest(name))


def test_sources(test: Path, out: Path) -> tuple[Path, Path]:
    """Manifests of the test mixtures' speech (`clean`) and noise (`noisy` less `clean`); of those without a room."""
    found: dict[str, list[Recording]] = {"speech": [], "noise": []}
    with (test / "mixtures.csv").open(encoding="utf-8", newline="") as rows:
        dry = [row for row in csv.DictReader(rows) if not row["rir"]]
    for row in dry:
        noisy, rate = read(test / "noisy" / f"{row['id']}.flac")
        clean, _ = read(test / "clean" / f"{row['id']}.flac")
        parts: dict[str, tuple[Samples, dict[str, str]]] = {
            "speech": (clean, {"speaker": row["speaker"], "text": row["text"]}),
            "noise": (np.asarray(noisy - clean), {"source": row["noise"]}),
        }
        for kind, (samples, known) in parts.items():
            path = out / kind / f"{row['id']}.wav"
            write(path, samples, rate, subtype="FLOAT")
            seconds = samples.shape[1] / rate
            facts = {"path": path, "sample_rate": rate, "channels": 1, "seconds": seconds, **known}
            found[kind].append(Recording.model_validate(facts))
    for kind, recordings in found.items():
        write_manifest(out / f"{kind}.jsonl", recordings)
    return out / "speech.jsonl", out / "noise.jsonl"


def stillwave(*arguments: object, environment: dict[str, str] | None = None) -> None:
    """A verb in a process of its own; where it fails, this one ends with its code."""
    words: Sequence[str] = [sys.executable, "-m", "stillwave", *map(str, arguments)]
    done = subprocess.run(words, check=False, env=environment)
    if done.returncode:
        sys.exit(done.returncode)
