"""Export a checkpoint to an ONNX file, or to C.

The steps are: load, trace, quantise if requested, verify against the checkpoint on signals, write. Nothing is written
unless all of them succeed.
"""

from __future__ import annotations

import contextlib
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
from stillwave.exporting import graphs, quantise, verify
from stillwave.exporting import signals as test_signals
from stillwave.exporting.c_program import CProgram
from stillwave.exporting.c_source import c_source
from stillwave.exporting.quality import KEYS, QualityLoss, compare
from stillwave.files import atomic_file
from stillwave.inference.metadata import ModelMetadata, StftMetadata
from stillwave.models import Denoiser

if TYPE_CHECKING:
    from onnx import ModelProto

T = TypeVar("T")
Precision = Literal["float32", "float16", "int8"]
SIGNALS = 3
"""Number of synthetic signals, or greatest number of recordings, that a file is verified on."""

FLOORS = {"float16": 50.0, "int8": 25.0}
"""Least ratio in dB of an estimate to its difference from the checkpoint's. Typical values:
docs/benchmarks.md, "Export precision"."""
CALIBRATE = 16
"""Greatest number of recordings that activation ranges are measured on."""


class ExportError(StillwaveError):
    """A network that cannot be exported as requested, or a target that cannot be written."""


@dataclass(frozen=True)
class ExportReport:
    """Facts about a written file and its difference from the checkpoint."""

    target: Path
    kind: Literal["stream", "offline", "c"]
    precision: Precision
    bytes: int
    parameters: int
    states: dict[str, list[int]]
    """Shapes of the states without the stream axis; empty for an offline graph."""
    signals: str
    """Description of the signals that the file was verified on."""
    difference: float
    """Greatest difference of the float32 graph from the checkpoint, relative to full scale."""
    similarity_db: float | None = None
    """For int8 and float16: lowest ratio of an estimate to its difference from the checkpoint's."""
    losses: dict[str, QualityLoss] = field(default_factory=dict)
    """For int8 and float16 with `on`: losses of quality by metric."""


def export(
    source: Path | str,
    target: Path | str,
    *,
    offline: bool = False,
    precision: Precision = "float32",
    calibrate: Path | str | None = None,
    dynamic: bool = False,
    on: Path | str | None = None,
    overwrite: bool = False,
) -> ExportReport:
    """Write the checkpoint or run folder `source` as an ONNX file, or as C.

    Args:
        source: Checkpoint or run folder.
        target: File to write: `.onnx`, or `.c` for a C source file with a header beside it.
        offline: Write the offline graph, from waveform to waveform, instead of the streaming graph of a causal
            network.
        precision: Precision in which weights are stored.
        calibrate: With int8: folder of noisy recordings; convolutions compute in 8 bits, with activation ranges
            measured on them.
        dynamic: With int8: matrix products compute in 8 bits, with activation ranges measured in each call.
        on: Folder of noisy and clean recordings (as for `stillwave evaluate --on`) to verify and score the file on;
            by default synthetic signals.
        overwrite: Replace an existing target.

    Raises:
        ExportError: The network cannot be exported as requested, or `target` cannot be written.
        DifferenceError: The file does not compute what the checkpoint computes.
        CheckpointError: `source` cannot be read.
        ManifestError, AudioError: Recordings cannot be used.
        MissingExtraError: A required package is not installed.

    """
    target = Path(target)
    as_c = target.suffix.lower() == ".c"
    _check_options(precision, calibrate, dynamic)
    if as_c and (offline or precision != "float32"):
        raise ExportError(f"{target}: C streams in float32; leave out --offline, --int8 and --fp16")
    check_target(target, overwrite)
    model, card = checkpoint.load(source)
    if as_c:
        return _export_c(model, card, target, on)
    if not (offline or model.causal):
        raise ExportError(
            f"{source}: this network needs the whole signal, so it cannot stream; export it with --offline"
        )
    pairs = _pairs(on, precision)
    noisy = _signals(model, pairs)
    trial = _Trial(describe(model, card, offline, precision), noisy, verify.reference(model, noisy), pairs)
    data, measured = _verified_graph(model, trial, calibrate, dynamic)
    _write({target: data})
    return ExportReport(
        target=target,
        kind=trial.meta.kind,
        precision=precision,
        bytes=len(data),
        parameters=card.parameters,
        states=trial.meta.states,
        signals=_described(noisy, on, pairs),
        **measured,
    )


def _export_c(model: Denoiser, card: checkpoint.Card, target: Path, on: Path | str | None) -> ExportReport:
    pairs = _pairs(on, "float32")
    try:
        files = c_source(model, card, target.stem)
        with waiting("compiling"):
            program = CProgram(files, target.stem)
    except StillwaveError as error:
        raise ExportError(f"{target}: {error}") from None
    noisy = _signals(model, pairs)
    found = np.stack([program.enhance(signal[0]) for signal in noisy])
    difference = float(np.abs(found - verify.reference(model, noisy)).max())
    verify.check_difference(difference)
    _write({target.with_suffix(".h"): files.header.encode(), target: files.source.encode()})
    return ExportReport(
        target=target,
        kind="c",
        precision="float32",
        bytes=len(files.source),
        parameters=card.parameters,
        states={"state": [files.state_bytes // 4]},
        signals=_described(noisy, on, pairs),
        difference=difference,
    )


def _described(noisy: Samples, on: Path | str | None, pairs: list[Pair]) -> str:
    return f"{len(noisy)} recordings of {on}" if pairs else f"{len(noisy)} synthetic signals"


@dataclass(frozen=True)
class _Trial:
    """Noisy signals `[R, M, N]` and the checkpoint's estimates `[R, N]`, which the file must reproduce."""

    meta: ModelMetadata
    noisy: Samples
    expected: Samples
    pairs: list[Pair]


def _verified_graph(
    model: Denoiser, trial: _Trial, calibrate: Path | str | None, dynamic: bool
) -> tuple[bytes, dict[str, Any]]:
    """Return the bytes of the file and the measured fields of its report. The float32 graph is verified first."""
    meta, signals = trial.meta, (trial.meta, trial.noisy, trial.expected)
    with waiting("tracing the network"):
        graph = graphs.offline_graph(model) if meta.kind == "offline" else graphs.stream_graph(model)
        data = graphs.serialise(graph, meta)
    full = verify.onnx_runner(data)
    measured: dict[str, Any] = {"difference": verify.check(full, *signals)}
    if meta.precision == "float32":
        return data, measured
    with waiting("reducing the precision"):
        data = graphs.serialise(_reduce(graph, meta, calibrate, dynamic), meta)
    reduced = verify.onnx_runner(data)
    measured["similarity_db"] = verify.check_similarity(reduced, *signals, FLOORS[meta.precision])
    if trial.pairs:
        measured["losses"] = compare(full, reduced, meta, trial.pairs)
    return data, measured


def _check_options(precision: Precision, calibrate: Path | str | None, dynamic: bool) -> None:
    if (calibrate is not None or dynamic) and precision != "int8":
        raise ExportError(f"--{'dynamic' if dynamic else 'calibrate'} applies to 8 bits only; add --int8")
    if calibrate is not None and dynamic:
        raise ExportError("--calibrate and --dynamic exclude each other; choose one")


def _pairs(on: Path | str | None, precision: Precision) -> list[Pair]:
    """Return the recordings to verify on. If they will be scored, check that the metrics are installed."""
    if on is None:
        return []
    if precision != "float32":
        from stillwave.evaluation.metrics import choose

        choose(KEYS)
    return read_pairs(on)


def _reduce(
    graph: ModelProto, meta: ModelMetadata, calibrate: Path | str | None, dynamic: bool
) -> ModelProto:
    """Return the graph in the precision of `meta`."""
    if calibrate is not None:
        folder = Path(calibrate)
        files = list(by_name(folder / "noisy" if (folder / "noisy").is_dir() else folder).values())
        return quantise.calibrated(
            graph, meta, test_signals.recorded(_evenly_spaced(files, CALIBRATE), meta.microphones)
        )
    if dynamic:
        return quantise.dynamic(graph)
    return quantise.store(graph, 8 if meta.precision == "int8" else 16)


def describe(
    model: Denoiser, card: checkpoint.Card, offline: bool, precision: Precision = "float32"
) -> ModelMetadata:
    """Return the metadata of the file to write."""
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
    """Refuse a target that cannot be written. Raises ExportError."""
    suffix = target.suffix.lower()
    if target.is_dir():
        raise ExportError(f"{target}: is a folder; give the name of an .onnx or .c file")
    if suffix not in (".onnx", ".c"):
        raise ExportError(f"{target}: cannot write '{target.suffix}'; give the name of an .onnx or .c file")
    for file in (target, target.with_suffix(".h"))[: 2 if suffix == ".c" else 1]:
        if os.path.lexists(file) and not overwrite:
            raise ExportError(f"{file}: {KEPT}")
    place = target.absolute().parent
    while not place.exists():
        place = place.parent
    if not place.is_dir():
        raise ExportError(f"{target}: {place} is a file, not a folder; choose another place")
    if not os.access(place, os.W_OK):
        raise ExportError(f"{target}: {place} is not writable; choose another folder")


def _signals(model: Denoiser, pairs: list[Pair]) -> Samples:
    if not pairs:
        return test_signals.speechlike(SIGNALS, model.microphones)
    return test_signals.recorded(_evenly_spaced(pairs, SIGNALS), model.microphones)


def _evenly_spaced(items: Sequence[T], count: int) -> list[T]:
    return [items[i] for i in np.linspace(0, len(items) - 1, min(count, len(items))).astype(int)]


def _write(files: dict[Path, bytes]) -> None:
    """Write the files: each is replaced as a whole, after all are complete."""
    target = list(files)[-1]
    try:
        with contextlib.ExitStack() as stack:
            for file, data in files.items():
                stack.enter_context(atomic_file(file)).write_bytes(data)
    except OSError as error:
        raise ExportError(f"{target}: cannot be written ({error.strerror or error})") from None
