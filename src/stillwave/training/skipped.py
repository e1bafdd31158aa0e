"""What a run leaves out and goes on without: batches that give NaN or infinity, recordings that cannot be read.

Both are logged, reported and counted, and too many of either end the run.
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
    """Counts what a run leaves out; `journal` is None in all processes but the first."""

    def __init__(self, folder: Path, limits: TrainConfig, world: World, say: Callable[[str], None]) -> None:
        self.folder, self.limits, self.world, self.say = folder, limits, world, say
        self._files: set[str] = set()
        """Recordings that failed in this sitting: one that was put right in between does not count any more."""

    def batch(self, batch: Batch, reason: str, progress: Progress, journal: RunLog | None) -> None:
        """Keep a batch that gave a non-finite loss or gradient for inspection. Raises StillwaveError at the limit."""
        progress.bad_batches += 1
        tensors = {
            name: self.world.gather_rows(getattr(batch, name)) for name in ("noisy", "clean", "indices")
        }
        place = self.folder / run.BAD
        if journal is not None:
            file = place / f"step_{progress.step:08d}.safetensors"
            try:
                with atomic_file(file) as temporary:
                    checkpoint.write_tensors(temporary, {n: t.cpu() for n, t in tensors.items()})
            except OSError as error:
                self.say(f"{file}: not saved ({error.strerror or error})")
            journal.write("bad_batch", progress.step, reason=reason, file=f"{run.BAD}/{file.name}")
            self.say(f"step {progress.step}: {reason}; batch left out and saved as {file}")
        limit = self.limits.max_bad_batches
        if progress.bad_batches >= limit:
            raise StillwaveError(
                f"{self.folder}: stopped after {limit} batches with non-finite losses or gradients (last: "
                f"{reason}); they are in {place}. A lower optimiser.lr is the usual cure"
            )

    def files(self, faults: Sequence[str], progress: Progress, journal: RunLog | None) -> None:
        """Note recordings of the batches of a step that cannot be used. Raises StillwaveError at the limit.

        A fault is a sentence that starts with the file; other examples have taken the place of the file's.
        """
        if not self.world.largest(len(faults)):
            return
        for fault in (fault for part in self.world.all_gather(tuple(faults)) for fault in part):
            file, _, reason = fault.partition(": ")
            if file in self._files:
                continue
            self._files.add(file)
            if file not in progress.bad_files and journal is not None:
                journal.write("bad_file", progress.step, file=file, reason=reason)
                self.say(f"step {progress.step}: {fault}; other recordings take its place")
            if file not in progress.bad_files:
                progress.bad_files.append(file)
        if len(self._files) >= self.limits.max_bad_files:
            raise StillwaveError(
                f"{self.folder}: stopped after {len(self._files)} recordings that cannot be used (last: {fault}); "
                "put them back, or raise train.max_bad_files, and give the same command to continue"
            )
