"""One fixed batch, and the outputs of student, teacher and method for it.

The batch has the shape of a training batch, which methods are built for: the middle `segment_seconds` of the first
recordings of the development set, repeated if there are too few. Snapshots and figures show its first example; the
others are needed for similarities between examples.

Snapshots hold calibration weights and similarities, for `stillwave explain`: one small file at the start and at each
validation, in `RUN/explain/snapshots/`. They are no part of the state of a run: a resumed run writes them again.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import cycle, islice
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn

from stillwave import checkpoint
from stillwave.audio import Samples
from stillwave.console import note
from stillwave.data.dataset import Signals
from stillwave.distill import BatchInputs, Distiller, I2srfTfckd, ModelOutputs, Taps
from stillwave.distill.method import to_float32
from stillwave.distill.similarity import similarities
from stillwave.errors import CheckpointError
from stillwave.files import atomic_file
from stillwave.schema import SAMPLE_RATE, Recipe

Sets = Mapping[str, tuple[Sequence[str], Sequence[str]]]


@dataclass(frozen=True)
class ProbeBatch:
    """`noisy`, [B, N] or [B, M, N] for several microphones, and `clean`, [B, N]."""

    noisy: Tensor
    clean: Tensor


@dataclass(frozen=True)
class ForwardRecord:
    """Feature maps and estimates of both networks for a batch."""

    student: ModelOutputs
    teacher: ModelOutputs
    sets: Sets


def fixed_batch(recipe: Recipe, items: Sequence[Signals]) -> ProbeBatch:
    """Return the batch of a run, always the same."""
    samples = round(recipe.data.segment_seconds * SAMPLE_RATE)
    chosen = list(islice(cycle(items), recipe.train.batch_size))
    noisy, clean = (
        torch.from_numpy(np.stack([_middle(getattr(item, name), samples) for item in chosen]))
        for name in ("noisy", "clean")
    )
    return ProbeBatch(noisy, clean)


@torch.no_grad()
def forward_record(distiller: Distiller, batch: ProbeBatch) -> ForwardRecord:
    """Run both networks in evaluation mode, in this process only; restore their modes."""
    sets = distiller.sets or _default_sets(distiller)
    student_taps, teacher_taps = ({name: pair[side] for name, pair in sets.items()} for side in (0, 1))
    return ForwardRecord(
        _observed(distiller.student, "student", student_taps, batch.noisy),
        _observed(distiller.teacher, "teacher", teacher_taps, batch.noisy),
        sets,
    )


@torch.no_grad()
def snapshot(method: I2srfTfckd, record: ForwardRecord, batch: ProbeBatch) -> dict[str, Tensor]:
    """Return distances, and calibration weights and similarities of the first example, at this point of training.

    `distance.TERM` (a number), `alpha.TERM.STREAM` [T, n, m], and `similarity.SET` [T, T] of the student's last layer.
    """
    losses = method.losses(record.student, record.teacher, BatchInputs(batch.noisy, batch.clean))
    kept = {f"distance.{term}": loss for term, loss in losses.items()}
    for term, streams in method.weights.items():
        kept |= {f"alpha.{term}.{stream}": alpha[0].half() for stream, alpha in streams.items()}
    for name, features in record.student.features.items():
        kept[f"similarity.{name}"] = frames_alike(features[shown(features)]).half()
    return {name: tensor.detach().cpu() for name, tensor in kept.items()}


def frames_alike(feature: Tensor) -> Tensor:
    """Return the cosines between the frames of the first example of [B, C, T, D], as [T, T]."""
    return similarities(to_float32(feature[:1]), ("time",))["time"].cosine[0]


def shown(features: Sequence[Tensor]) -> int:
    """Return the index of the last layer that is not a mask, else of the last."""
    inner = [i for i, feature in enumerate(features) if feature.shape[1] > 2]
    return inner[-1] if inner else len(features) - 1


def _observed(
    network: nn.Module, role: str, sets: Mapping[str, Sequence[str]], noisy: Tensor
) -> ModelOutputs:
    was_training = network.training
    network.eval()
    try:
        with Taps(network, [tap for taps in sets.values() for tap in taps], role).record() as found:
            estimate = network(noisy)
    finally:
        network.train(was_training)
    return ModelOutputs({name: [found[tap] for tap in taps] for name, taps in sets.items()}, estimate)


def _default_sets(distiller: Distiller) -> Sets:
    """Return the default taps of both networks, for a method that compares no layers."""
    student_taps, teacher_taps = (_named(network) for network in (distiller.student, distiller.teacher))
    return {name: (student_taps[name], teacher_taps[name]) for name in student_taps if name in teacher_taps}


def _named(network: nn.Module) -> dict[str, list[str]]:
    taps: dict[str, list[str]] = getattr(network, "default_taps", dict)()
    return taps


def _middle(samples: Samples, wanted: int) -> Samples:
    """Return the middle of `[N]` or `[M, N]`, padded with zeros if it is too short."""
    start = max(0, (samples.shape[-1] - wanted) // 2)
    cut = samples[..., start : start + wanted]
    return np.pad(cut, [(0, 0)] * (cut.ndim - 1) + [(0, wanted - cut.shape[-1])])


FOLDER, PLACE = "explain", "snapshots"


class Snapshots:
    """Takes the snapshots of one run, if its method has calibration weights."""

    def __init__(
        self, recipe: Recipe, folder: Path, distiller: Distiller | None, items: Sequence[Signals]
    ) -> None:
        self.folder = folder / FOLDER / PLACE
        self.distiller = distiller
        self.method = distiller.method if distiller is not None and items else None
        self._recipe, self._items = recipe, items
        self._batch: ProbeBatch | None = None

    def take(self, step: int) -> None:
        """Write the snapshot of a step; a full disk does not end the run."""
        if not isinstance(self.method, I2srfTfckd) or self.distiller is None:
            return
        if self._batch is None:
            device = next(self.distiller.student.parameters()).device
            on_cpu = fixed_batch(self._recipe, self._items)
            self._batch = ProbeBatch(on_cpu.noisy.to(device), on_cpu.clean.to(device))
        record = forward_record(self.distiller, self._batch)
        file = self.folder / f"step_{step:08d}.safetensors"
        try:
            with atomic_file(file) as temporary:
                checkpoint.write_tensors(temporary, snapshot(self.method, record, self._batch))
        except OSError as error:
            note(f"{file}: not saved ({error.strerror or error})")


def read_snapshots(folder: Path, until: int) -> dict[int, dict[str, Tensor]]:
    """Return the snapshots of a run up to a step, by step; damaged ones are skipped with a warning."""
    found = {}
    for file in sorted((folder / FOLDER / PLACE).glob("step_*.safetensors")):
        step = int(file.stem.removeprefix("step_"))
        if step > until:
            continue
        try:
            found[step] = checkpoint.read_tensors(file)
        except CheckpointError as error:
            note(f"{error}; skipped")
    return found
