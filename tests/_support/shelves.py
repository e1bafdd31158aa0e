"""Folders of models for tests: real small networks, exported, with cards."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

from stillwave.schema import ModelConfig

SMALL = ModelConfig(name="bsrnn", channels=8, blocks=1, bands=8, causal=True, norm="frame")


def card_of(name: str, files: dict[str, Path], **changes) -> dict:
    """A card's JSON for these files."""
    kept = {}
    for precision, path in files.items():
        data = path.read_bytes()
        kept[precision] = {"name": path.name, "bytes": len(data), "sha256": hashlib.sha256(data).hexdigest()}
    return {
        "name": name,
        "title": "a network for tests",
        "network": SMALL.model_dump(),
        "hop": 256,
        "delay_ms": 32.0,
        "training": {"method": "none", "weights_sha256": "0" * 64},
        "data": [{"part": "speech", "name": "voices", "licence": "CC0", "citation": "nobody"}],
        "cost": {
            "parameters": 1234,
            "size_bytes": 4936,
            "seconds": 1.0,
            "macs": {"linear": 2e6, "recurrent": 3e6},
            "frame_macs": 80_000,
            "receptive_field": {"past": None, "future": 510},
            "state_bytes": 64,
        },
        "licence": "Apache-2.0",
        "files": kept,
        **changes,
    }


def write(folder: Path, name: str, contents: dict[str, bytes], **changes) -> dict:
    """Put a model with files of these contents into `folder`; its card's JSON."""
    files = {}
    for precision, data in contents.items():
        files[precision] = folder / (f"{name}.onnx" if precision == "float" else f"{name}.int8.onnx")
        files[precision].write_bytes(data)
    card = card_of(name, files, **changes)
    (folder / f"{name}.json").write_text(json.dumps(card), encoding="utf-8")
    return card
