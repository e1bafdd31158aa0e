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


def score(request: Request, place: Place) -> tuple[Path, Path]:
    """Return the folders of `stillwave evaluate` for the scores with a reference, and for ratings and words."""
    peers = {title: _estimates(place, *key, request.graphs) for key, title in PEERS.items()}
    spoken = ["wer"] if request.recogniser else []
    words = ["--recogniser", request.recogniser, "--references", "texts"] if request.recogniser else []
    groups = ["--by", request.by]
    return (
        _evaluate(request, place, peers, "quality", [*_metrics(QUALITY), *groups]),
        _evaluate(request, place, peers, "others", [*_metrics([*RATINGS, *spoken]), *words]),
    )


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


def _evaluate(request: Request, place: Place, peers: dict[str, Path], what: str, options: list[str]) -> Path:
    """Run `stillwave evaluate`, unless it was run for these weights, recordings and options."""
    key = repr([place.test, [network.fingerprint for network in request.networks], sorted(peers), options])
    folder = place.work / f"{what}-{hashlib.sha256(key.encode()).hexdigest()[:KEY]}"
    if not (folder / "summary.md").exists():
        models = [f"{network.name}={network.path}" for network in request.networks]
        others = [value for name, path in peers.items() for value in ("--enhanced", f"{name}={path}")]
        command = ["evaluate", *models, "--on", str(place.folder), *others, *options]
        baseline = ["--baseline", request.networks[0].name, "--jobs", str(place.jobs), "-o", str(folder)]
        subprocess.run([sys.executable, "-m", "stillwave", *command, *baseline], check=True)
    return folder
