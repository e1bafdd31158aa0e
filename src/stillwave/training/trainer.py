"""The loop of a run: update, log, validate, save. The same for training and distillation; resumable at any step."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Generator, Iterator, Sequence
from pathlib import Path
from typing import Any

from torch import Tensor

from stillwave import checkpoint, provenance
from stillwave.console import note
from stillwave.data.dataset import Batch, Signals, Source, batches
from stillwave.distill.external_teacher import EstimateTeacher
from stillwave.errors import StillwaveError
from stillwave.schema import Recipe
from stillwave.training import gradient_monitor, run, sources, state, validation
from stillwave.training.distributed import World
from stillwave.training.interrupts import Interrupts, Stopped
from stillwave.training.probe_batch import Snapshots
from stillwave.training.progress import shown
from stillwave.training.run_log import RunLog
from stillwave.training.skipped import SkippedItems
from stillwave.training.teachers import teacher_sha256
from stillwave.training.train_state import StepResult, TrainState


class Trainer:
    """A run: its training state, its progress and its files. Resumes what the folder holds."""

    def __init__(self, recipe: Recipe, folder: Path, world: World, *, quiet: bool = False) -> None:
        self.recipe, self.folder, self.world = recipe, folder, world
        self.quiet = quiet or not world.is_main
        self.licences = ""
        """Of the training data, for the card."""
        self.made_with: dict[str, Any] = {"versions": provenance.versions(), "git": provenance.git()}
        found = state.newest(folder / run.CHECKPOINTS)
        self.state = TrainState(recipe, world, fresh=found is None)
        self.progress = state.Progress(teacher=teacher_sha256(recipe))
        if self.teacher and not quiet:
            self.print_status(f"teacher {self.teacher}")
        self.skipped = SkippedItems(folder, recipe.train, world, self.print_status)
        if found is not None:
            self._resume(*found)
        self._saved = self.progress.step
        """The step of the newest checkpoint."""
        self._scores = self.progress.scores()
        """As they were before the validation of this step."""
        if recipe.train.precision != "fp32" and self.state.half is None:
            self.print_status(f"train.precision: {recipe.train.precision} is for GPUs; computing in fp32")

    @property
    def teacher(self) -> str:
        """Name and calibration of a teacher that has estimates only; empty for others."""
        distiller = self.state.distiller
        found = None if distiller is None else distiller.teacher
        return found.summary() if isinstance(found, EstimateTeacher) else ""

    def print_status(self, line: str) -> None:
        """Print a line to stderr, from the main process only."""
        if self.world.is_main:
            note(line)

    def fit(self, source: Source, development: Sequence[Signals], metric: validation.Metric) -> None:
        """Train until the run is finished, a signal arrives, or an error occurs."""
        settings = self.recipe.train
        log = None
        if self.world.is_main:
            validated = not self.progress.pending
            log = RunLog(
                self.folder,
                step=self.progress.step,
                tensorboard=settings.tensorboard,
                validated=validated,
                sample_rate=self.recipe.model.sample_rate,
            )
        snapshots = Snapshots(self.recipe, self.folder, self.state.distiller, development)
        if log is not None and not self.progress.step:
            snapshots.take(0)
        try:
            with (
                contextlib.closing(self._groups(source)) as groups,
                Interrupts() as interrupts,
                shown(self.recipe.name, self.progress.step, settings.steps, quiet=self.quiet) as advance,
            ):
                while not self.progress.finished:
                    values = {} if self.progress.pending else self._step(groups, log)
                    validated = self._validate_if_due(development, metric, log)
                    self._finish_if_due()
                    self.progress.pending = False
                    if validated and log is not None:
                        snapshots.take(self.progress.step)
                    signal = self.world.largest(interrupts.received)
                    due = self.progress.step % settings.checkpoint_every == 0
                    if due or signal or self.progress.finished:
                        self._save(log)
                    advance(self.progress.step, values)
                    if signal and not self.progress.finished:
                        raise Stopped(self._how_to_continue(), signal)
        except Exception:
            self._save_before_error(log)
            raise
        finally:
            if log is not None:
                log.close()

    def _step(self, groups: Iterator[list[Batch]], log: RunLog | None) -> dict[str, Any]:
        """Make an update and log it; return its values, without any if a batch was skipped."""
        started = time.perf_counter()  # includes waiting for data
        group = next(groups)
        result = self.state.step(group, self.progress.step)
        self.progress.step += 1
        self.progress.pending, self._scores = True, self.progress.scores()
        seconds = sum(b.clean.numel() for b in group) * self.world.size / self.recipe.model.sample_rate
        speed = round(seconds / (time.perf_counter() - started), 2)
        values = self._log(result, speed, log)
        self.skipped.files([fault for batch in group for fault in batch.faults], self.progress, log)
        return values

    def _log(self, result: StepResult, speed: float, log: RunLog | None) -> dict[str, Any]:
        if result.bad is not None:
            self.skipped.batch(result.bad, result.reason, self.progress, log)
            return {}
        step = self.progress.step
        values = {**result.values, "audio_per_second": speed}
        if log is not None:
            log.write("train", step, **values)
            if result.gradients:
                log.write("gradients", step, norm=result.gradients)
        for name in result.silent:
            self.print_status(
                f"step {step}: {name} has been 0 for {gradient_monitor.SILENT} updates: it has no effect"
            )
        return values

    def _groups(self, source: Source) -> Generator[list[Batch], None, None]:
        """Yield the batches of each update, from the next step on."""
        settings = self.recipe.train
        stream = batches(
            source,
            settings.batch_size,
            first=self.progress.step * settings.accumulate,
            last=settings.steps * settings.accumulate,
            workers=self.recipe.data.workers,
            rank=self.world.rank,
            processes=self.world.size,
            pin_memory=self.world.device.type == "cuda",
        )
        with contextlib.closing(stream):
            while True:
                yield [self._to_device(next(stream)) for _ in range(settings.accumulate)]

    def _to_device(self, batch: Batch) -> Batch:
        named = {name: getattr(batch, name) for name in ("noisy", "clean", "indices", "estimate")}
        tensors = {name: tensor for name, tensor in named.items() if tensor is not None}
        device = self.world.device
        return batch._replace(**{name: t.to(device, non_blocking=True) for name, t in tensors.items()})

    # --- validation ---------------------------------------------------------------------------------------

    def _validate_if_due(
        self, items: Sequence[Signals], metric: validation.Metric, log: RunLog | None
    ) -> bool:
        """Validate if this step is due; return whether it was."""
        settings, progress = self.recipe.train, self.progress
        ends = (*self.recipe.optimiser.restarts, settings.steps)
        if progress.step % settings.validate_every and progress.step not in ends:
            return False
        if progress.step <= self.state.loss_schedule.second:
            return False  # the first of two steps does not train the output
        found = validation.validate(self.state.exported, items, metric, self.world)
        better = found.score is not None and (
            progress.best_score is None or found.score > progress.best_score
        )
        if better:
            progress.best_score, progress.best_step, progress.stale = found.score, progress.step, 0
        else:
            progress.stale += 1
        if log is not None:
            score = {settings.metric: found.score}
            log.write("validation", progress.step, **score, items=found.items, skipped=found.skipped)
            log.examples(progress.step, items, found.estimates)
            if better:
                weights = self.state.exported.state_dict()
                state.save_best(self.folder / run.CHECKPOINTS, weights, self._card())
        if not self.quiet:
            best = " (best)" if better else ""
            self.print_status(f"step {progress.step}: {found.summary(settings.metric)}{best}")
        return True

    def _finish_if_due(self) -> None:
        settings, progress = self.recipe.train, self.progress
        if progress.step >= settings.steps:
            progress.finished = f"all {settings.steps} steps done"
        elif settings.patience and progress.stale >= settings.patience:
            progress.finished = f"no better score in {settings.patience} validations, at step {progress.step}"

    # --- checkpoints --------------------------------------------------------------------------------------

    def _save(self, log: RunLog | None) -> None:
        if log is None:
            return
        log.sync()
        self.state.write_numbers(self.progress)
        self.progress.steps = self.recipe.train.steps
        weights, tensors = self.state.exported.state_dict(), self.state.tensors()
        state.save(self.folder / run.CHECKPOINTS, weights, self._card(), tensors, self.progress)
        self._saved = self.progress.step
        if run.restored(self.folder, self.recipe):
            raise StillwaveError(
                f"{self.folder}: was moved or removed during training; it has been created again, with a checkpoint of "
                f"step {self.progress.step}: give the same command to continue from it"
            )

    def _save_before_error(self, log: RunLog | None) -> None:
        """Write a checkpoint of the last update, if there is none, before an error ends the run."""
        progress = self.progress
        if log is None or progress.step == self._saved:
            return
        try:
            self.state.rewind()
            if progress.pending:  # a resumed run validates this step again
                progress.best_step, progress.best_score, progress.stale = self._scores
            self._save(log)
            self.print_status(self._how_to_continue())
        except Exception as error:  # the error that ends the run is the one to raise
            self.print_status(
                f"{self.folder}: no checkpoint of step {progress.step} could be written ({error})"
            )

    def _resume(self, progress: state.Progress, tensors: dict[str, Tensor]) -> None:
        if progress.teacher != self.progress.teacher:
            raise StillwaveError(
                f"{self.folder}: was distilled from another teacher; "
                "give the teacher of this run, or another run folder"
            )
        self.state.load(tensors, progress)
        self.progress = progress
        progress.reopen_if_longer(self.recipe.train.steps)
        if not progress.finished:
            self.print_status(f"{self.folder}: resuming after step {progress.step}")

    def _card(self) -> checkpoint.Card:
        progress, recipe = self.progress, self.recipe
        best = progress.best_score if progress.best_step == progress.step else None
        return checkpoint.Card(
            model=recipe.model,
            sample_rate=recipe.model.sample_rate,
            step=progress.step,
            scores={} if best is None else {recipe.train.metric: best},
            recipe=recipe.model_dump(mode="json"),
            teacher=progress.teacher,
            data=f"{sources.trained_on(recipe)}; licences: {self.licences or 'not stated'}",
            **self.made_with,
        )

    def _how_to_continue(self) -> str:
        step = self.progress.step
        return f"{self.folder}: stopped after step {step}; give the same command to continue"
