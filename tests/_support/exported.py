"""Exported networks of random weights, for tests of what runs them."""

from __future__ import annotations

import json
from pathlib import Path

import onnx

from stillwave import checkpoint
from stillwave.exporting import export as exporting
from stillwave.models.denoiser import Denoiser


def export(model: Denoiser, path: Path, **changes) -> Path:
    """Write a streaming file as `stillwave export` does; `changes` are made to its metadata."""
    folder = path.with_suffix(".checkpoint")
    checkpoint.save(folder, model, checkpoint.Card(model=model.config))
    exporting.export(folder, path)
    if changes:
        describe(path, json.dumps({**message(path), **changes}))
    return path


def message(path: Path) -> dict:
    """Return the metadata of a file."""
    (entry,) = onnx.load(path).metadata_props
    return json.loads(entry.value)


def describe(path: Path, text: str | None) -> None:
    """Write the metadata of an ONNX file; None removes them."""
    proto = onnx.load(path)
    del proto.metadata_props[:]
    if text is not None:
        entry = proto.metadata_props.add()
        entry.key, entry.value = "stillwave", text
    onnx.save(proto, path)
