"""A checkpoint as one file that runs elsewhere, written only if it computes what the checkpoint does.

The flow: load, trace, name, quantise if asked, compare with the source on signals, write. Nothing is written
before all of it has succeeded.
"""

from __future__ import annotations

import os
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

import numpy as np

from stillwave import checkpoint
from stillwave.audio import Samples
from stillwave.data.pairs import Pair, read_pairs
from stillwave.deploy import graphs, material, scripts, verify
from stillwave.deploy.meta import OnnxMeta, StftMeta
from stillwave.errors import StillwaveError
from stillwave.files import atomic_file
from stillwave.models import Denoiser

Precision = Literal["float32", "float16", "int8"]
Format = Literal["onnx", "torchscript"]
SUFFIXES: dict[Format, tuple[str, ...]] = {"onnx": (".onnx",), "torchscript": (".pt", ".ts")}
SIGNALS = 3
"""Made signals, and at most so many recordings, that a file is compared with its source on."""


class ExportError(StillwaveError):
    """A network that cannot be exported as asked, or a target that cannot be written."""


@dataclass(frozen=True)
class ExportReport:
    """What was written, and how far it is from its source."""

    target: Path
    format: Format
    kind: Literal["stream", "offline"]
    precision: Precision
    bytes: int
    difference: float
    """Largest difference of the float32 network from its source, in full scales."""
    signals: str
    """What it was measured on."""
    states: dict[str, list[int]] = field(default_factory=dict)


def export(
    source: Path | str,
    target: Path | str,
    *,
    offline: bool = False,
    precision: Precision = "float32",
    calibrate: Path | str | None = None,
    on: Path | str | None = None,
    format: Format | None = None,
    overwrite: bool = False,
) -> ExportReport:
    """Write the checkpoint or run folder `source` as one file, `target`.

    Of a causal network this is the streaming graph, with `offline` the graph from waveform to waveform, which any
    network has. `on` is a folder of noisy and clean recordings (as `stillwave evaluate --on` takes) to compare on;
    `calibrate` one of recordings that int8's ranges are taken from.

    Raises ExportError, CheckpointError; DifferenceError when the file would not compute what `source` does.
    """
    target = Path(target)
    format = format or _format_of(target)
    check_target(target, overwrite)
    model, card = checkpoint.load(source)
    if not (offline or model.causal):
        raise ExportError(
            f"{source}: this network needs the whole signal, so it cannot stream; export it with --offline"
        )
    meta = describe(model, card, offline)
    pairs = read_pairs(on) if on is not None else []
    noisy = _signals(model, pairs)
    expected = verify.reference(model, noisy)
    if format == "torchscript":
        data = scripts.trace(model, meta)
        difference = verify.check(scripts.runner(data), meta, noisy, expected)
    else:
        graph = graphs.offline_graph(model) if offline else graphs.stream_graph(model)
        data = graphs.serialise(graph, meta)
        difference = verify.check(verify.onnx_runner(data), meta, noisy, expected)
    _write(target, data)
    signals = f"{len(noisy)} recordings of {on}" if pairs else f"{len(noisy)} made signals"
    return ExportReport(target, format, meta.kind, precision, len(data), difference, signals, meta.states)


def describe(
    model: Denoiser, card: checkpoint.Card, offline: bool, precision: Precision = "float32"
) -> OnnxMeta:
    """What the file says of itself."""
    return OnnxMeta(
        kind="offline" if offline else "stream",
        sample_rate=model.sample_rate,
        microphones=model.microphones,
        stft=StftMeta(n_fft=model.stft.n_fft, hop=model.stft.hop),
        lookahead_frames=0 if model.causal else None,
        delay_samples=0 if offline else model.stft.n_fft,
        precision=precision,
        states={} if offline else graphs.state_shapes(model),
        card=card.model_dump(mode="json"),
    )


def check_target(target: Path, overwrite: bool) -> None:
    """Refuse a target that cannot be written, before any work is done."""
    if target.is_dir():
        raise ExportError(f"{target}: this is a folder; give a file name to write to")
    if os.path.lexists(target) and not overwrite:
        raise ExportError(f"{target}: exists already; it is replaced only with --overwrite")
    place = target.absolute().parent
    while not place.exists():
        place = place.parent
    if not (place.is_dir() and os.access(place, os.W_OK)):
        raise ExportError(f"{target}: {place} cannot be written to; choose another folder")


def _format_of(target: Path) -> Format:
    for name, suffixes in SUFFIXES.items():
        if target.suffix.lower() in suffixes:
            return name
    raise ExportError(
        f"{target}: '{target.suffix}' is no format; .onnx is ONNX, .pt TorchScript, or say --format"
    )


def _signals(model: Denoiser, pairs: list[Pair]) -> Samples:
    if not pairs:
        return material.speechlike(SIGNALS, model.microphones)
    chosen = [pairs[i] for i in np.linspace(0, len(pairs) - 1, min(SIGNALS, len(pairs))).astype(int)]
    return material.recorded([pair.noisy for pair in chosen], model.microphones)


def _write(target: Path, data: bytes) -> None:
    try:
        with atomic_file(target) as temporary:
            temporary.write_bytes(data)
    except OSError as error:
        raise ExportError(
            f"{target}: cannot be written ({error.strerror or error}); nothing is left there"
        ) from None
