"""Snapshots of calibration weights and similarities during training, for the report of `--explain`.

One small file at the start and at each validation, in `RUN/explain/snapshots/`, for methods with calibration weights.
They are not part of the run's state: a resumed run writes the same files again.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from torch import Tensor

from stillwave import checkpoint
from stillwave.console import err
from stillwave.data.dataset import Signals
from stillwave.distill import Distiller, I2srfTfckd
from stillwave.errors import CheckpointError
from stillwave.files import atomic_file
from stillwave.schema import Recipe
from stillwave.training.probe_batch import ProbeBatch, fixed_batch, forward_record, snapshot

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
            err.print(f"{file}: not saved ({error.strerror or error})", highlight=False, markup=False)


def read(folder: Path, until: int) -> dict[int, dict[str, Tensor]]:
    """Return the snapshots of a run up to a step, by step; damaged ones are skipped with a warning."""
    found = {}
    for file in sorted((folder / FOLDER / PLACE).glob("step_*.safetensors")):
        step = int(file.stem.removeprefix("step_"))
        if step > until:
            continue
        try:
            found[step] = checkpoint.read_tensors(file)
        except CheckpointError as error:
            err.print(f"{error}; skipped", highlight=False, markup=False)
    return found
