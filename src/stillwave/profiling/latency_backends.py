"""Prepare the models to measure: the file for each model and backend."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from stillwave import pretrained
from stillwave.errors import CheckpointError, MissingExtraError, StillwaveError, nearest
from stillwave.schema import PRESETS, ModelConfig

if TYPE_CHECKING:
    from stillwave.exporting.export import Precision
    from stillwave.models import Denoiser

BACKENDS = ("torch", "onnx", "int8")
TITLES = {"torch": "PyTorch", "onnx": "ONNX", "int8": "ONNX int8", "fp16": "ONNX fp16"}
PRECISIONS = {"float32": "onnx", "float16": "fp16", "int8": "int8"}


@dataclass(frozen=True)
class Variant:
    """One model on one backend."""

    model: str
    backend: str
    path: Path
    frame_macs: int | None

    @property
    def title(self) -> str:
        """Title for display."""
        return f"{self.model}, {TITLES[self.backend]}"

    @property
    def spec(self) -> dict[str, Any]:
        """Description for the worker."""
        return {"backend": "torch" if self.backend == "torch" else "onnx", "path": str(self.path)}

    @property
    def file_bytes(self) -> int:
        """Size of the ONNX file, or of the checkpoint's weights."""
        return (self.path if self.path.is_file() else self.path / "weights.safetensors").stat().st_size


def variants(
    targets: Sequence[str], backends: Sequence[str], folder: Path, report: Callable[[str, int, int], None]
) -> tuple[list[Variant], list[tuple[str, str, str]]]:
    """Return every model on every backend, and (model, backend, reason) of those that are skipped.

    An `.onnx` file is measured as it is, a shipped model as both of its files. Presets, and shipped models on PyTorch,
    have random weights, which are always the same. Existing paths take precedence over names. Files are written to
    `folder`.

    Raises StillwaveError for an unknown target or backend, or a non-causal network.
    """
    for backend in backends:
        if backend not in BACKENDS:
            raise StillwaveError(f"unknown backend '{backend}'; {nearest(backend, BACKENDS)}")
    found: list[Variant] = []
    skipped: list[tuple[str, str, str]] = []
    for place, target in enumerate(targets):
        report(f"preparing {target}", place, len(targets))
        path, own = Path(target), folder / str(place)
        card = None if path.exists() else pretrained.SHIPPED.known(target)
        if path.is_file() and path.suffix == ".onnx":
            found.append(_file(path))
            continue
        if card and card.name != target:
            found.append(Variant(target, "int8", pretrained.find(target), card.cost.frame_macs))
            continue
        if card:
            macs, make = card.cost.frame_macs, partial(_shipped_form, card, own)
        else:
            source = _checkpoint(target, own)
            macs, make = _frame_macs(source), partial(_form, source, own)
        for backend in backends:
            try:
                found.append(Variant(path.name, backend, make(backend), macs))
            except CheckpointError:  # damaged weights, not a missing backend
                raise
            except StillwaveError as error:
                skipped.append((path.name, backend, str(error)))
    return found, skipped


def _form(source: Path, folder: Path, backend: str) -> Path:
    """Return the path that a backend executes for a checkpoint."""
    return source if backend == "torch" else _exported(source, folder / f"{backend}.onnx", backend)


def _shipped_form(card: pretrained.ModelCard, folder: Path, backend: str) -> Path:
    """Return the path that a backend executes for a shipped model."""
    if backend == "torch":
        return _random(card.model, folder)
    return pretrained.find(card.name + (pretrained.INT8 if backend == "int8" else ""))


def _file(path: Path) -> Variant:
    from stillwave.inference.onnx_model import read

    meta = read(path).meta
    if meta.kind != "stream":
        raise StillwaveError(f"{path}: is an offline graph, which has no frames to measure")
    return Variant(path.name, PRECISIONS[meta.precision], path, _macs_of_card(meta.card))


def _checkpoint(target: str, folder: Path) -> Path:
    """Return the checkpoint folder of a target that needs PyTorch."""
    if not Path(target).exists() and target in PRESETS:
        return _random(PRESETS[target], folder)
    path = pretrained.SHIPPED.locate(target, PRESETS)
    from stillwave import checkpoint

    folder.mkdir(parents=True)
    return checkpoint.resolve(path)


def _random(config: ModelConfig, folder: Path) -> Path:
    """Save a network with random weights. Raises MissingExtraError."""
    try:
        import torch

        from stillwave import checkpoint
        from stillwave.models import build
    except ModuleNotFoundError:
        raise MissingExtraError("measuring PyTorch", "train") from None
    folder.mkdir(parents=True)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        model = build(config)
    checkpoint.save(folder / "checkpoint", model, checkpoint.Card(model=config))
    return folder / "checkpoint"


def _frame_macs(source: Path) -> int:
    from stillwave import checkpoint
    from stillwave.profiling.complexity import count_frame_macs

    model: Denoiser = checkpoint.load(source)[0]
    if not model.causal:
        raise StillwaveError(f"{source}: this network needs the whole signal, so it has no frames to measure")
    return count_frame_macs(model)


def _exported(source: Path, path: Path, backend: str) -> Path:
    from stillwave.exporting.export import export
    from stillwave.inference.onnx_model import read

    precision: Precision = "int8" if backend == "int8" else "float32"
    export(source, path, precision=precision)
    if read(path).meta.precision != precision:
        raise StillwaveError(f"export did not write {precision}")
    return path


def _macs_of_card(card: dict[str, Any]) -> int | None:
    """Return the MACs of a frame of the network in a file's card; None without PyTorch or a card."""
    try:
        from stillwave.models import build
        from stillwave.profiling.complexity import count_frame_macs
    except ModuleNotFoundError:
        return None
    from pydantic import ValidationError

    try:
        return count_frame_macs(build(ModelConfig.model_validate(card.get("model"))))
    except (ValidationError, StillwaveError):
        return None
