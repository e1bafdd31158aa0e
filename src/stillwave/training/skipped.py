"""Skipped batches with NaN or infinite losses, and skipped recordings that cannot be read.

Both are logged, printed and counted; too many of either end the run.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

from stillwave import checkpoint
from stillwave.data.dataset import Batch
from stillwave.errors import StillwaveError
from stillwave.files import atomic_file
from stillwave.schema import TrainConfig
from stillwave.training import run
from stillwave.training.distributed import World
from stillwave.training.run_log import RunLog
from stillwave.training.state import Progress


class SkippedItems:
    """Counts skipped batches and recordings; `log` is None except in the main process."""

    def __init__(
        self, folder: Path, limits: TrainConfig, world: World, print_status: Callable[[str], None]
    ) -> None:
        self.folder, self.limits, self.world, self.print_status = folder, limits, world, print_status
        self._files: set[str] = set()
        """Recordings that failed in this session: those repaired since do not count."""

    def batch(self, batch: Batch, reason: str, progress: Progress, log: RunLog | None) -> None:
        """Save a batch with a non-finite loss or gradient for inspection. Raise StillwaveError at the limit."""
        progress.bad_batches += 1
        tensors = {
            name: self.world.gather_rows(getattr(batch, name)) for name in ("noisy", "clean", "indices")
        }
        place = self.folder / run.BAD
        if log is not None:
            file = place / f"step_{progress.step:08d}.safetensors"
            try:
                with atomic_file(file) as temporary:
                    checkpoint.write_tensors(temporary, {n: t.cpu() for n, t in tensors.items()})
            except OSError as error:
                self.print_status(f"{file}: not saved ({error.strerror or error})")
            log.write("bad_batch", progress.step, reason=reason, file=f"{run.BAD}/{file.name}")
            self.print_status(f"step {progress.step}: {reason}; batch skipped and saved as {file}")
        limit = self.limits.max_bad_batches
        if progress.bad_batches >= limit:
            raise StillwaveError(
                f"{self.folder}: stopped after {limit} batches with non-finite losses or gradients (last: "
                f"{reason}); they are in {place}. A lower optimiser.lr usually helps"
            )

    def files(self, faults: Sequence[str], progress: Progress, log: RunLog | None) -> None:
        """Log recordings of a step that cannot be used, given as `file: reason`. Raise StillwaveError at the limit."""
        if not self.world.largest(len(faults)):
            return
        for fault in (fault for part in self.world.all_gather(tuple(faults)) for fault in part):
            file, _, reason = fault.partition(": ")
            if file in self._files:
                continue
            self._files.add(file)
            if file not in progress.bad_files and log is not None:
                log.write("bad_file", progress.step, file=file, reason=reason)
                self.print_status(f"step {progress.step}: {fault}; replaced by other recordings")
            if file not in progress.bad_files:
                progress.bad_files.append(file)
        if len(self._files) >= self.limits.max_bad_files:
            raise StillwaveError(
                f"{self.folder}: stopped after {len(self._files)} recordings that cannot be used (last: {fault}); "
                "restore them, or raise train.max_bad_files, and give the same command to continue"
            )
