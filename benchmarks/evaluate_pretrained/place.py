"""A test set and a network, and where their results are kept."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from stillwave import pretrained
from stillwave.audio import Samples, read, write
from stillwave.console import track
from stillwave.data.pair_sets import Pair, read_pairs

Enhance = Callable[[Samples, int], Samples]
"""`[channels, N]` at a rate to the same shape."""
KEY = 16
"""Characters of a digest that name a folder."""


@dataclass(frozen=True)
class Network:
    """A network that is measured. `fingerprint` changes with its weights."""

    name: str
    fingerprint: str
    path: Path

    @classmethod
    def of(cls, name: str) -> Network:
        """Return a shipped model by its name, or an exported file as NAME=PATH."""
        name, _, given = name.partition("=")
        path = Path(given) if given else pretrained.find(name)
        return cls(name, hashlib.sha256(path.read_bytes()).hexdigest(), path)

    def open(self) -> Enhance:
        """Return the function that enhances."""
        from stillwave.inference import load

        return load(self.path, "cpu").enhance


@dataclass(frozen=True)
class Place:
    """A test set and the folder of results."""

    folder: Path
    pairs: Sequence[Pair]
    test: str
    """SHA-256 of all recordings: results for other recordings are not used for these."""
    work: Path
    jobs: int

    @classmethod
    def of(cls, folder: Path, work: Path, jobs: int) -> Place:
        """Read a test set."""
        pairs = read_pairs(folder)
        digest = hashlib.sha256()
        for pair in pairs:
            digest.update(pair.noisy.read_bytes() + pair.clean.read_bytes())
        return cls(folder, pairs, digest.hexdigest(), work, jobs)


def enhance_all(network: Network, place: Place) -> list[Path]:
    """Return the network's estimates of all mixtures, in order; existing files are kept."""
    folder = place.work / "enhanced" / f"{network.fingerprint[:KEY]}-{place.test[:KEY]}"
    files = [folder / f"{pair.id}.wav" for pair in place.pairs]
    missing = [(pair, file) for pair, file in zip(place.pairs, files, strict=True) if not file.exists()]
    if missing:
        enhance = network.open()
        for pair, file in track(missing, f"enhance with {network.name}"):
            samples, rate = read(pair.noisy)
            write(file, enhance(samples, rate), rate, subtype="FLOAT")
    return files


def read_kept(file: Path, key: Mapping[str, Any]) -> dict[str, Any] | None:
    """Return the content of a results file if it belongs to `key`."""
    if not file.exists():
        return None
    kept: dict[str, Any] = json.loads(file.read_text(encoding="utf-8"))
    return kept if all(kept.get(name) == value for name, value in key.items()) else None


def mono(path: Path) -> Samples:
    """Return the one channel of a recording of the test set."""
    return np.ascontiguousarray(read(path)[0][0])
