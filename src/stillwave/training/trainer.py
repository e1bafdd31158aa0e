"""A run's loop: update, log, validate, keep; one for training and for distilling, resumable at any step."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Generator, Iterator, Sequence
from pathlib import Path
from typing import Any

from torch import Tensor

from stillwave import checkpoint, provenance
from stillwave.console import err
from stillwave.data.dataset import Batch, Signals, Source, batches
from stillwave.errors import StillwaveError
from stillwave.schema import SAMPLE_RATE, Recipe
from stillwave.training import objective, run, state, validation
from stillwave.training.distributed import World
from stillwave.training.gradient_monitor import SILENT
from stillwave.training.interrupts import Interrupts, Stopped
from stillwave.training.optimizer_step import StepResult
from stillwave.training.progress import shown
from stillwave.training.run_log import RunLog
from stillwave.training.skipped import SkippedItems
from stillwave.training.snapshots import Snapshots
from stillwave.training.train_state import TrainState


class Trainer:
    """A run between two steps: everything that a checkpoint must hold, and how it moves on."""

    def __init__(self, recipe: Recipe, folder: Path, world: World, *, quiet: bool = False) -> None:
        self.recipe, self.folder, self.world = recipe, folder, world
        self.quiet = quiet or not world.is_main
        self.licences = ""
        """Of the training material, for the card."""
        self.made_with: dict[str, Any] = {"versions": provenance.versions(), "git": provenance.git()}
        found = state.newest(folder / run.CHECKPOINTS)
        self.learner = TrainState(recipe, world, fresh=found is None)
        self.progress = state.Progress(teacher=objective.teacher_sha256(recipe))
        self.set_aside = SkippedItems(folder, recipe.train, world, self.say)
        if found is not None:
            self._resume(*found)
        self._kept = self.progress.step
        """The update that the newest checkpoint is of."""
        self._scores = self.progress.scores()
        """As they were before the validation that is under way."""
        if recipe.train.precision != "fp32" and self.learner.updater.half is None:
            self.say(f"train.precision: {recipe.train.precision} is for GPUs; computing in fp32")

    def say(self, sentence: str) -> None:
        """A line on the terminal, from the first process only."""
        if self.world.is_main:
            err.print(sentence, highlight=False, markup=False)

    # --- forward ------------------------------------------------------------------------------------------

    def fit(self, source: Source, development: Sequence[Signals], metric: validation.Metric) -> None:
        """Go on to the end of the run, a signal, or an error."""
        settings = self.recipe.train
        journal = (
            RunLog(
                self.folder,
                step=self.progress.step,
                tensorboard=settings.tensorboard,
                validated=not self.progress.pending,
            )
            if self.world.is_main
            else None
        )
        snapshots = Snapshots(self.recipe, self.folder, self.learner.objective.distiller, development)
        if journal is not None and not self.progress.step:
            snapshots.take(0)
        try:
            with (
                contextlib.closing(self._groups(source)) as groups,
                Interrupts() as asked,
                shown(self.recipe.name, self.progress.step, settings.steps, quiet=self.quiet) as advance,
            ):
                while not self.progress.finished:
                    values = {} if self.progress.pending else self._step(groups, journal)
                    if self._conclude(development, metric, journal) and journal is not None:
                        snapshots.take(self.progress.step)
                    signal = self.world.largest(asked.received)
                    due = self.progress.step % settings.checkpoint_every == 0
                    if due or signal or self.progress.finished:
                        self._save(journal)
                    advance(self.progress.step, values)
                    if signal and not self.progress.finished:
                        raise Stopped(self._how_to_go_on(), signal)
        except Exception:
            self._leave(journal)
            raise
        finally:
            if journal is not None:
                journal.close()

    def _step(self, groups: Iterator[list[Batch]], journal: RunLog | None) -> dict[str, Any]:
        started = time.perf_counter()  # waiting for data counts
        group = next(groups)
        outcome = self.learner.step(group, self.progress.step)
        self.progress.step += 1
        self.progress.pending, self._scores = True, self.progress.scores()
        seconds = sum(b.clean.numel() for b in group) * self.world.size / SAMPLE_RATE
        speed = round(seconds / (time.perf_counter() - started), 2)
        values = self._note(outcome, speed, journal)
        self.set_aside.files([fault for batch in group for fault in batch.faults], self.progress, journal)
        return values

    def _note(self, outcome: StepResult, speed: float, journal: RunLog | None) -> dict[str, Any]:
        """Log an update, or set its batch aside; its values."""
        if outcome.bad is not None:
            self.set_aside.batch(outcome.bad, outcome.reason, self.progress, journal)
            return {}
        values = {**outcome.values, "audio_per_second": speed}
        if journal is not None:
            journal.write("train", self.progress.step, **values)
            if outcome.gradients:
                journal.write("gradients", self.progress.step, norm=outcome.gradients)
        for name in outcome.silent:
            self.say(f"step {self.progress.step}: {name} has been 0 for {SILENT} updates: it teaches nothing")
        return values

    def _groups(self, source: Source) -> Generator[list[Batch], None, None]:
        """The batches of each update, from the next step on."""
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
        tensors = {name: getattr(batch, name) for name in ("noisy", "clean", "indices")}
        device = self.world.device
        return batch._replace(**{name: t.to(device, non_blocking=True) for name, t in tensors.items()})

    # --- measuring ----------------------------------------------------------------------------------------

    def _conclude(self, items: Sequence[Signals], metric: validation.Metric, journal: RunLog | None) -> bool:
        """Do what follows an update: validation, if it is due, and the end. Whether the run was validated."""
        validated = self._validate_if_due(items, metric, journal)
        self._finish_if_due()
        self.progress.pending = False
        return validated

    def _validate_if_due(
        self, items: Sequence[Signals], metric: validation.Metric, journal: RunLog | None
    ) -> bool:
        """Whether it was."""
        settings, progress = self.recipe.train, self.progress
        ends = (*self.recipe.optimiser.restarts, settings.steps)
        if progress.step % settings.validate_every and progress.step not in ends:
            return False
        if progress.step <= self.learner.updater.plan.second:
            return False  # the first of two steps trains no output: a score would say nothing
        found = validation.validate(self.learner.exported, items, metric, self.world)
        better = found.score is not None and (
            progress.best_score is None or found.score > progress.best_score
        )
        if better:
            progress.best_score, progress.best_step, progress.stale = found.score, progress.step, 0
        else:
            progress.stale += 1
        if journal is not None:
            journal.write(
                "validation",
                progress.step,
                **{settings.metric: found.score},
                items=found.items,
                skipped=found.skipped,
            )
            journal.listen(progress.step, items, found.estimates)
            if better:
                state.save_best(
                    self.folder / run.CHECKPOINTS, self.learner.exported.state_dict(), self._card()
                )
        if not self.quiet:
            self.say(f"step {progress.step}: {found.summary(settings.metric)}{' (best)' if better else ''}")
        return True

    def _finish_if_due(self) -> None:
        settings, progress = self.recipe.train, self.progress
        if progress.step >= settings.steps:
            progress.finished = f"all {settings.steps} steps done"
        elif settings.patience and progress.stale >= settings.patience:
            progress.finished = f"no better score in {settings.patience} validations, at step {progress.step}"

    # --- keeping ------------------------------------------------------------------------------------------

    def _save(self, journal: RunLog | None) -> None:
        if journal is None:
            return
        journal.sync()
        self.learner.note(self.progress)
        self.progress.steps = self.recipe.train.steps
        state.save(
            self.folder / run.CHECKPOINTS,
            self.learner.exported.state_dict(),
            self._card(),
            self.learner.tensors(),
            self.progress,
        )
        self._kept = self.progress.step
        if run.rewritten(self.folder, self.recipe):
            raise StillwaveError(
                f"{self.folder}: was moved or removed during training; it has been made again, with a checkpoint of "
                f"step {self.progress.step}: give the same command to continue from it"
            )

    def _leave(self, journal: RunLog | None) -> None:
        """Write a checkpoint of the last update, if there is none, before an error ends the run."""
        progress = self.progress
        if journal is None or progress.step == self._kept:
            return
        try:
            self.learner.rewind()
            if progress.pending:  # a resumed run validates again
                progress.best_step, progress.best_score, progress.stale = self._scores
            self._save(journal)
            self.say(self._how_to_go_on())
        except Exception as error:  # the one that ends the run matters more
            self.say(f"{self.folder}: no checkpoint of step {progress.step} could be written ({error})")

    def _resume(self, progress: state.Progress, tensors: dict[str, Tensor]) -> None:
        if progress.teacher != self.progress.teacher:
            raise StillwaveError(
                f"{self.folder}: was distilled from another teacher than the one given now; "
                "give that one, or another run folder"
            )
        self.learner.load(tensors, progress)
        self.progress = progress
        progress.reopen_if_longer(self.recipe.train.steps)
        if not progress.finished:
            self.say(f"{self.folder}: going on after step {progress.step}")

    def _card(self) -> checkpoint.Card:
        from stillwave.training import sources

        progress, recipe = self.progress, self.recipe
        best = progress.best_score if progress.best_step == progress.step else None
        return checkpoint.Card(
            model=recipe.model,
            step=progress.step,
            scores={} if best is None else {recipe.train.metric: best},
            recipe=recipe.model_dump(mode="json"),
            teacher=progress.teacher,
            data=f"{sources.trained_on(recipe)}; licences: {self.licences or 'not stated'}",
            **self.made_with,
        )

    # --- showing ------------------------------------------------------------------------------------------

    def _how_to_go_on(self) -> str:
        step = self.progress.step
        return f"{self.folder}: stopped after step {step}; give the same command to continue"
