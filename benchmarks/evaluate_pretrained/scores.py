"""Score the shipped models and other denoisers on a test set, with `stillwave evaluate`. Results are kept."""

from __future__ import annotations

import hashlib
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from .place import KEY, Network, Place

SCRIPTS = Path(__file__).parents[1]
QUALITY = ("pesq_wb", "pesq_nb", "stoi", "si_sdr")
RATINGS = ("dnsmos_sig", "dnsmos_bak", "dnsmos_ovrl")
PEERS = {  # script, its name there → name in the tables
    ("peers.py", "gating"): "spectral gating",
    ("peers.py", "wiener"): "Wiener filter",
    ("peer_networks.py", "rnnoise"): "RNNoise",
    ("peer_networks.py", "gtcrn"): "GTCRN",
    ("peer_networks.py", "dfn3"): "DeepFilterNet3",
    ("peer_networks.py", "ulunas"): "UL-UNAS",
}


@dataclass(frozen=True)
class Request:
    """What is scored on a test set, and how."""

    networks: Sequence[Network]
    graphs: Path
    """Folder of the streaming graphs of GTCRN and UL-UNAS."""
    by: str
    """Columns to group by."""
    recogniser: str | None = None
    """Recogniser for the word error rate against the texts."""


def quality(request: Request, place: Place) -> Path:
    """Return the folder of `stillwave evaluate` with the scores against the references."""
    return _evaluate(request, place, "quality", [*_metrics(QUALITY), "--by", request.by])


def ratings(request: Request, place: Place) -> Path:
    """Return the folder with the scores without a reference."""
    return _evaluate(request, place, "ratings", _metrics(RATINGS))


def words(request: Request, place: Place) -> Path:
    """Return the folder with the word error rates."""
    assert request.recogniser
    options = ["--recogniser", request.recogniser, "--references", "texts"]
    return _evaluate(request, place, "words", [*_metrics(("wer",)), *options])


def _metrics(names: Sequence[str]) -> list[str]:
    return ["--metrics", ",".join(names)]


def _estimates(place: Place, script: str, name: str, graphs: Path) -> Path:
    """Return a folder with the estimates of another denoiser."""
    folder = place.work / "peers" / place.test[:KEY]
    if len(list((folder / name).glob("*.wav"))) < len(place.pairs):
        needs = ["--graphs", str(graphs)] if script == "peer_networks.py" else []
        noisy = str(place.folder / "noisy")
        command = [str(SCRIPTS / script), noisy, "-o", str(folder), "--only", name, *needs]
        subprocess.run([sys.executable, *command], check=True)
    return folder / name


def _evaluate(request: Request, place: Place, what: str, options: list[str]) -> Path:
    """Run `stillwave evaluate`, unless it was run for these weights, recordings and options."""
    peers = {title: _estimates(place, *key, request.graphs) for key, title in PEERS.items()}
    key = repr([place.test, [network.fingerprint for network in request.networks], sorted(peers), options])
    folder = place.work / f"{what}-{hashlib.sha256(key.encode()).hexdigest()[:KEY]}"
    if not (folder / "summary.md").exists():
        models = [f"{network.name}={network.path}" for network in request.networks]
        others = [value for name, path in peers.items() for value in ("--enhanced", f"{name}={path}")]
        command = ["evaluate", *models, "--on", str(place.folder), *others, *options]
        baseline = ["--baseline", request.networks[0].name, "--jobs", str(place.jobs), "-o", str(folder)]
        subprocess.run([sys.executable, "-m", "stillwave", *command, *baseline], check=True)
    return folder
