"""The loop: one for training and for distilling, resumable at any step."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Generator, Iterator, Sequence
from pathlib import Path
from typing import Any

import torch

from stillwave import checkpoint, provenance
from stillwave.console import err
from stillwave.data.dataset import Batch, Signals, Source, batches
from stillwave.errors import StillwaveError
from stillwave.files import atomic_file
from stillwave.schema import SAMPLE_RATE, Recipe
from stillwave.train import objective, run, state, threads, validation
from stillwave.train.distributed import World, join
from stillwave.train.faults import explained
from stillwave.train.interrupts import Interrupts, Stopped
from stillwave.train.journal import Journal
from stillwave.train.learner import Learner
from stillwave.train.progress import shown
from stillwave.train.snapshots import Snapshots
from stillwave.train.watch import SILENT


def train(recipe: Recipe, run_folder: Path | str, *, quiet: bool = False, resume: bool = True) -> Path:
    """Run a recipe, or go on with its run, and return the best checkpoint's folder (else the last).

    The same call resumes a run that was cut short, at its newest complete checkpoint; on a CPU the result
    is bit for bit that of a run without the cut. A finished run is left as it is. With `resume=False` a
    folder that holds a run is refused. `quiet` leaves out the progress bar.

    Raises StillwaveError: bad recipe, data or checkpoints, the run folder of another recipe, a full disk,
    too many non-finite batches; and Stopped after Ctrl-C or SIGTERM, once a checkpoint is written.
    """
    folder = Path(run_folder)
    with join(recipe.train.device) as world, contextlib.ExitStack() as stack:
        if world.first:
            stack.enter_context(run.opened(folder, recipe, resume=resume))
        world.firsts(None)  # nobody reads before the folder is in order
        stack.enter_context(torch.random.fork_rng([world.device] if world.device.type == "cuda" else []))
        stack.enter_context(explained(recipe))
        stack.enter_context(threads.chosen(recipe, folder, world, _silent if quiet else _say))
        _run(recipe, folder, world, quiet)
        world.firsts(None)  # nobody looks for the result, or leaves, before it is written
        return checkpoint.resolve(folder)


def _run(recipe: Recipe, folder: Path, world: World, quiet: bool) -> None:
    """All that holds networks, apart: it is gone before the processes part."""
    from stillwave.train import sources

    trainer = Trainer(recipe, folder, world, quiet=quiet)
    if trainer.progress.finished:
        trainer.say(f"{folder}: this run is finished ({trainer.progress.finished})")
        return
    metric = sources.metric(recipe.train.metric)
    source = sources.mixtures(recipe, world)
    trainer.licences = sources.licences(source)
    trainer.fit(source, sources.development(recipe), metric)
    if recipe.distill is not None and recipe.distill.cache is not None and not quiet:
        trainer.say(trainer.learner.objective.told())


class Trainer:
    """A run between two steps: everything that a checkpoint must hold, and how it moves on."""

    def __init__(self, recipe: Recipe, folder: Path, world: World, *, quiet: bool = False) -> None:
        self.recipe, self.folder, self.world = recipe, folder, world
        self.quiet = quiet or not world.first
        self.licences = ""
        """Of the training material, for the card."""
        self.made_with: dict[str, Any] = {"versions": provenance.versions(), "git": provenance.git()}
        self.learner = Learner(recipe, world)
        self.progress = state.Progress(teacher=objective.teacher_sha256(recipe))
        self._resume()
        if recipe.train.precision != "fp32" and self.learner.updater.half is None:
            self.say(f"train.precision: {recipe.train.precision} is for GPUs; computing in fp32")

    def say(self, sentence: str) -> None:
        """A line on the terminal, from the first process only."""
        if self.world.first:
            _say(sentence)

    # --- forward ------------------------------------------------------------------------------------------

    def fit(self, source: Source, development: Sequence[Signals], metric: validation.Metric) -> None:
        """Go on to the end of the run, a signal, or an error."""
        settings = self.recipe.train
        journal = (
            Journal(self.folder, step=self.progress.step, tensorboard=settings.tensorboard)
            if self.world.first
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
                    values = self._step(groups, journal)
                    if self._validate_if_due(development, metric, journal) and journal is not None:
                        snapshots.take(self.progress.step)
                    self._finish_if_due()
                    signal = self.world.largest(asked.received)
                    due = self.progress.step % settings.checkpoint_every == 0
                    if due or signal or self.progress.finished:
                        self._save(journal)
                    advance(self.progress.step, values)
                    if signal and not self.progress.finished:
                        raise Stopped(self._how_to_go_on(), signal)
        finally:
            if journal is not None:
                journal.close()

    def _step(self, groups: Iterator[list[Batch]], journal: Journal | None) -> dict[str, Any]:
        started = time.perf_counter()  # waiting for data counts
        group = next(groups)
        outcome = self.learner.step(group, self.progress.step)
        self.progress.step += 1
        if outcome.bad is not None:
            self._set_aside(outcome.bad, outcome.reason, journal)
            return {}
        seconds = sum(b.clean.numel() for b in group) * self.world.size / SAMPLE_RATE
        values = {**outcome.values, "audio_per_second": round(seconds / (time.perf_counter() - started), 2)}
        if journal is not None:
            journal.write("train", self.progress.step, **values)
            if outcome.gradients:
                journal.write("gradients", self.progress.step, norm=outcome.gradients)
        for name in outcome.silent:
            self.say(f"step {self.progress.step}: {name} has been 0 for {SILENT} updates: it teaches nothing")
        return values

    def _set_aside(self, batch: Batch, reason: str, journal: Journal | None) -> None:
        """Keep a batch that gave a non-finite loss or gradient for inspection; enough of them end the run."""
        self.progress.bad_batches += 1
        file = self.folder / run.BAD / f"step_{self.progress.step:08d}.safetensors"
        tensors = {name: self.world.rows(tensor) for name, tensor in batch._asdict().items()}
        if journal is not None:
            with atomic_file(file) as temporary:
                checkpoint.write_tensors(temporary, {n: t.cpu() for n, t in tensors.items()})
            journal.write(
                "bad_batch", self.progress.step, reason=reason, file=str(file.relative_to(self.folder))
            )
            self.say(f"step {self.progress.step}: {reason}; batch left out and saved as {file}")
        limit = self.recipe.train.max_bad_batches
        if self.progress.bad_batches >= limit:
            raise StillwaveError(
                f"{self.folder}: stopped after {limit} batches with non-finite losses or gradients (last: "
                f"{reason}); they are in {file.parent}. A lower optimiser.lr is the usual cure"
            )

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
        return Batch(*(tensor.to(self.world.device, non_blocking=True) for tensor in batch))

    # --- measuring ----------------------------------------------------------------------------------------

    def _validate_if_due(
        self, items: Sequence[Signals], metric: validation.Metric, journal: Journal | None
    ) -> bool:
        """Whether it was."""
        settings, progress = self.recipe.train, self.progress
        if progress.step % settings.validate_every and progress.step != settings.steps:
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
            self.say(f"step {progress.step}: {found.told(settings.metric)}{' (best)' if better else ''}")
        return True

    def _finish_if_due(self) -> None:
        settings, progress = self.recipe.train, self.progress
        if progress.step >= settings.steps:
            progress.finished = f"all {settings.steps} steps done"
        elif settings.patience and progress.stale >= settings.patience:
            progress.finished = f"no better score in {settings.patience} validations, at step {progress.step}"

    # --- keeping ------------------------------------------------------------------------------------------

    def _save(self, journal: Journal | None) -> None:
        if journal is None:
            return
        journal.sync()
        self.learner.note(self.progress)
        state.save(
            self.folder / run.CHECKPOINTS,
            self.learner.exported.state_dict(),
            self._card(),
            self.learner.tensors(),
            self.progress,
        )

    def _resume(self) -> None:
        found = state.newest(self.folder / run.CHECKPOINTS)
        if found is None:
            return
        progress, tensors = found
        if progress.teacher != self.progress.teacher:
            raise StillwaveError(
                f"{self.folder}: was distilled from another teacher than the one given now; "
                "give that one, or another run folder"
            )
        self.learner.load(tensors, progress)
        self.progress = progress
        if not progress.finished:
            self.say(f"{self.folder}: going on after step {progress.step}")

    def _card(self) -> checkpoint.Card:
        from stillwave.train.sources import trained_on

        progress, recipe = self.progress, self.recipe
        best = progress.best_score if progress.best_step == progress.step else None
        return checkpoint.Card(
            model=recipe.model,
            step=progress.step,
            scores={} if best is None else {recipe.train.metric: best},
            recipe=recipe.model_dump(mode="json"),
            teacher=progress.teacher,
            data=f"{trained_on(recipe)}; licences: {self.licences or 'not stated'}",
            **self.made_with,
        )

    # --- showing ------------------------------------------------------------------------------------------

    def _how_to_go_on(self) -> str:
        step = self.progress.step
        return f"{self.folder}: stopped after step {step}; give the same command to continue"


def _say(sentence: str) -> None:
    err.print(sentence, highlight=False, markup=False)


def _silent(_: str) -> None:
    pass
