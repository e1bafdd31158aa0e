"""What a run keeps of its way, so that `--explain` can show how weights and similarities changed.

One small file at the start and at each validation, in `RUN/explain/snapshots/`, by methods that have calibration
weights. They are no part of the run's state: a resumed run writes those that it passes again, the same.
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
    """Takes them of one run; of a method without calibration weights none."""

    def __init__(
        self, recipe: Recipe, folder: Path, distiller: Distiller | None, items: Sequence[Signals]
    ) -> None:
        self.folder = folder / FOLDER / PLACE
        self.distiller = distiller
        self.method = distiller.method if distiller is not None and items else None
        self._recipe, self._items = recipe, items
        self._batch: ProbeBatch | None = None

    def take(self, step: int) -> None:
        """Write that of a step. A disk that is full costs the picture, not the run."""
        if not isinstance(self.method, I2srfTfckd) or self.distiller is None:
            return
        if self._batch is None:
            device = next(self.distiller.student.parameters()).device
            on_cpu = fixed_batch(self._recipe, self._items)
            self._batch = ProbeBatch(on_cpu.noisy.to(device), on_cpu.clean.to(device))
        seen = forward_record(self.distiller, self._batch)
        file = self.folder / f"step_{step:08d}.safetensors"
        try:
            with atomic_file(file) as temporary:
                checkpoint.write_tensors(temporary, snapshot(self.method, seen, self._batch))
        except OSError as error:
            err.print(f"{file}: not kept ({error.strerror or error})", highlight=False, markup=False)


def read(folder: Path, until: int) -> dict[int, dict[str, Tensor]]:
    """A run's snapshots up to a step, by step; one that cannot be read is left out aloud."""
    found = {}
    for file in sorted((folder / FOLDER / PLACE).glob("step_*.safetensors")):
        step = int(file.stem.removeprefix("step_"))
        if step > until:
            continue
        try:
            found[step] = checkpoint.read_tensors(file)
        except CheckpointError as error:
            err.print(f"{error}; left out", highlight=False, markup=False)
    return found
