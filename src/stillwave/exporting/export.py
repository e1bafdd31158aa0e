"""A checkpoint as one file that runs elsewhere, written only if it computes what the checkpoint does.

The flow: load, trace, name, quantise if asked, compare with the source on signals, write. Nothing is written
before all of it has succeeded.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, TypeVar

import numpy as np

from stillwave import checkpoint
from stillwave.audio import Samples
from stillwave.console import waiting
from stillwave.data.pair_sets import Pair, by_name, read_pairs
from stillwave.errors import KEPT, StillwaveError
from stillwave.exporting import graphs, quantise, scripts, verify
from stillwave.exporting import signals as material
from stillwave.exporting.quality import KEYS, QualityLoss, compare
from stillwave.files import atomic_file
from stillwave.inference.metadata import ModelMetadata, StftMetadata
from stillwave.models import Denoiser

if TYPE_CHECKING:
    from onnx import ModelProto

T = TypeVar("T")
Precision = Literal["float32", "float16", "int8"]
Format = Literal["onnx", "torchscript"]
SUFFIXES: dict[Format, tuple[str, ...]] = {"onnx": (".onnx",), "torchscript": (".pt", ".ts")}
SIGNALS = 3
"""Made signals, and at most so many recordings, that a file is compared with its source on."""

FLOORS = {"float16": 50.0, "int8": 25.0}
"""Decibels that estimates must be above their difference from the source's. What trained networks have, and what they
lose: docs/benchmarks.md, "Forms of an exported network"."""
CALIBRATE = 16
"""Recordings, at most, that ranges are taken from."""


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
    parameters: int
    states: dict[str, list[int]]
    """Shapes of the memories without the axis of streams; none offline."""
    signals: str
    """What the following was measured on."""
    difference: float
    """Largest difference of the float32 network from its source, in full scales."""
    similarity_db: float | None = None
    """Of a smaller precision: lowest ratio of an estimate to its difference from the source's."""
    losses: dict[str, QualityLoss] = field(default_factory=dict)
    """Of a smaller precision, where there are recordings with references: by metric."""


def export(
    source: Path | str,
    target: Path | str,
    *,
    offline: bool = False,
    precision: Precision = "float32",
    calibrate: Path | str | None = None,
    dynamic: bool = False,
    on: Path | str | None = None,
    format: Format | None = None,
    overwrite: bool = False,
) -> ExportReport:
    """Write the checkpoint or run folder `source` as one file, `target`.

    Of a causal network this is the streaming graph, with `offline` the graph from waveform to waveform, which any
    network has. `on` is a folder of noisy and clean recordings (as `stillwave evaluate --on` takes) to compare on.
    Weights are stored in `precision`. With int8, convolutions compute in 8 bits too when `calibrate` is a folder of
    noisy recordings to take their ranges from; with `dynamic`, matrix products do, in ranges of the moment.

    Raises ExportError, CheckpointError; DifferenceError when the file would not compute what `source` does;
    ManifestError or AudioError for recordings that cannot be used; MissingExtraError.
    """
    target = Path(target)
    format = format or _format_of(target)
    _check_options(format, precision, calibrate, dynamic)
    check_target(target, overwrite)
    model, card = checkpoint.load(source)
    if not (offline or model.causal):
        raise ExportError(
            f"{source}: this network needs the whole signal, so it cannot stream; export it with --offline"
        )
    pairs = _pairs(on, precision)
    trial = _trial(model, describe(model, card, offline, precision), pairs)
    if format == "torchscript":
        data, measured = _script(model, trial)
    else:
        data, measured = _onnx(model, trial, calibrate, dynamic)
    _write(target, data)
    return ExportReport(
        target=target,
        format=format,
        kind=trial.meta.kind,
        precision=precision,
        bytes=len(data),
        parameters=card.parameters,
        states=trial.meta.states,
        signals=f"{len(trial.noisy)} recordings of {on}" if pairs else f"{len(trial.noisy)} made signals",
        **measured,
    )


@dataclass(frozen=True)
class _Trial:
    """What an exported network has to do: the source's estimates `[R, N]` of noisy signals `[R, M, N]`."""

    meta: ModelMetadata
    noisy: Samples
    expected: Samples
    pairs: list[Pair]


def _trial(model: Denoiser, meta: ModelMetadata, pairs: list[Pair]) -> _Trial:
    noisy = _signals(model, pairs)
    return _Trial(meta, noisy, verify.reference(model, noisy), pairs)


def _script(model: Denoiser, trial: _Trial) -> tuple[bytes, dict[str, Any]]:
    """The file's bytes and what was measured of it."""
    with waiting("tracing the network"):
        data = scripts.trace(model, trial.meta)
    difference = verify.check(scripts.runner(data), trial.meta, trial.noisy, trial.expected)
    return data, {"difference": difference}


def _onnx(
    model: Denoiser, trial: _Trial, calibrate: Path | str | None, dynamic: bool
) -> tuple[bytes, dict[str, Any]]:
    """As `_script`; a smaller precision is compared with the float32 graph that was found right."""
    meta, signals = trial.meta, (trial.meta, trial.noisy, trial.expected)
    with waiting("tracing the network"):
        graph = graphs.offline_graph(model) if meta.kind == "offline" else graphs.stream_graph(model)
        data = graphs.serialise(graph, meta)
    full = verify.onnx_runner(data)
    measured: dict[str, Any] = {"difference": verify.check(full, *signals)}
    if meta.precision == "float32":
        return data, measured
    with waiting("storing smaller numbers"):
        data = graphs.serialise(_reduce(graph, meta, calibrate, dynamic), meta)
    reduced = verify.onnx_runner(data)
    measured["similarity_db"] = verify.check_similarity(reduced, *signals, FLOORS[meta.precision])
    if trial.pairs:
        measured["losses"] = compare(full, reduced, meta, trial.pairs)
    return data, measured


def _check_options(format: Format, precision: Precision, calibrate: Path | str | None, dynamic: bool) -> None:
    if format == "torchscript" and precision != "float32":
        raise ExportError(f"TorchScript is written in float32 alone; export {precision} as ONNX")
    if (calibrate is not None or dynamic) and precision != "int8":
        raise ExportError(
            f"--{'dynamic' if dynamic else 'calibrate'} says how to compute in 8 bits; add --int8"
        )
    if calibrate is not None and dynamic:
        raise ExportError("--calibrate fixes the ranges that --dynamic takes anew each time; choose one")


def _pairs(on: Path | str | None, precision: Precision) -> list[Pair]:
    """The recordings to compare on; where they will be scored, the metrics must be installed."""
    if on is None:
        return []
    if precision != "float32":
        from stillwave.evaluation.metrics import choose

        choose(KEYS)
    return read_pairs(on)


def _reduce(
    graph: ModelProto, meta: ModelMetadata, calibrate: Path | str | None, dynamic: bool
) -> ModelProto:
    """The graph in the precision of `meta`."""
    if calibrate is not None:
        folder = Path(calibrate)
        files = list(by_name(folder / "noisy" if (folder / "noisy").is_dir() else folder).values())
        return quantise.calibrated(
            graph, meta, material.recorded(_spread(files, CALIBRATE), meta.microphones)
        )
    if dynamic:
        return quantise.dynamic(graph)
    return quantise.store(graph, 8 if meta.precision == "int8" else 16)


def describe(
    model: Denoiser, card: checkpoint.Card, offline: bool, precision: Precision = "float32"
) -> ModelMetadata:
    """What the file says of itself."""
    return ModelMetadata(
        kind="offline" if offline else "stream",
        sample_rate=model.sample_rate,
        microphones=model.microphones,
        stft=StftMetadata(n_fft=model.stft.n_fft, hop=model.stft.hop),
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
        raise ExportError(f"{target}: {KEPT}")
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
    return material.recorded(_spread(pairs, SIGNALS), model.microphones)


def _spread(items: Sequence[T], count: int) -> list[T]:
    """At most `count` items, evenly over all of them."""
    return [items[i] for i in np.linspace(0, len(items) - 1, min(count, len(items))).astype(int)]


def _write(target: Path, data: bytes) -> None:
    try:
        with atomic_file(target) as temporary:
            temporary.write_bytes(data)
    except OSError as error:
        raise ExportError(
            f"{target}: cannot be written ({error.strerror or error}); nothing is left there"
        ) from None
