"""Train or distil by a recipe: the run folder, the processes and the data around a `Trainer`."""

from __future__ import annotations

import contextlib
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import torch

from stillwave import checkpoint
from stillwave.console import note
from stillwave.data.dataset import Signals, Source
from stillwave.files import as_path
from stillwave.schema import Recipe
from stillwave.training import data_lists, inputs, run, sources, threads
from stillwave.training.distributed import World, join
from stillwave.training.faults import explained
from stillwave.training.trainer import Trainer


class TrainingData(NamedTuple):
    """Data for `train` in place of that of the recipe's `data` section.

    A pair of signals is any object with float32 arrays `noisy`, [N] or [M, N] for M > 1 microphones, and `clean`, [N],
    at 16 kHz.
    """

    train: Source
    """A function from (epoch, index) to a pair of signals of `data.segment_seconds`, always the same for the same
    arguments. It must be picklable if `data.workers` is greater than 0 and the platform does not fork."""
    development: Sequence[Signals]
    """Pairs of signals of any length, for validation."""


def train(
    recipe: Recipe,
    run_folder: Path | str,
    data: TrainingData | None = None,
    *,
    quiet: bool = False,
    resume: bool = True,
    extend: bool = False,
    allow_changed_data: bool = False,
) -> Path:
    """Train or distil by a recipe, or resume an interrupted run.

    The same call resumes a run at its newest complete checkpoint; on a CPU the result is bit for bit that of an
    uninterrupted run. A finished run is left unchanged. Whatever ends a run, a checkpoint of its last update is written
    if possible.

    Args:
        recipe: The run: network, data, losses and budget; with a `distill` section also the teacher.
        run_folder: Folder of the run, created if it does not exist.
        data: Training examples and development set to use instead of the recipe's.
        quiet: Whether to omit progress and status lines.
        resume: Whether to resume a run that the folder holds; otherwise such a folder is refused.
        extend: Whether a run whose learning rate depends on its length may be made longer: the rate restarts at its
            former end (`optimiser.restarts`).
        allow_changed_data: Whether a run may resume with other recordings than it began with.

    Returns:
        The folder of the best checkpoint, or of the last one if no validation gave a score.

    Raises:
        StillwaveError: The recipe, data or checkpoints cannot be used, the folder holds another run, the disk is full,
            or too many batches or recordings had to be skipped.
        Stopped: After Ctrl-C, SIGTERM or SIGHUP.

    """
    folder = as_path(run_folder)
    with join(recipe.train.device) as world, contextlib.ExitStack() as stack:
        if world.is_main:
            recipe = stack.enter_context(run.opened(folder, recipe, resume=resume, extend=extend))
        recipe = world.broadcast(recipe)  # waits until the main process has prepared the folder
        stack.enter_context(torch.random.fork_rng([world.device] if world.device.type == "cuda" else []))
        stack.enter_context(explained(recipe))
        if not run.holds_checkpoint(folder):
            inputs.check(recipe, data=data is None)
        stack.enter_context(threads.chosen(recipe, folder, world, _no_status if quiet else _print_status))
        _run(recipe, folder, world, data, quiet=quiet, allow_changed_data=allow_changed_data)
        world.barrier()  # the result is complete before any process returns
        return checkpoint.resolve(folder)


def _run(
    recipe: Recipe,
    folder: Path,
    world: World,
    data: TrainingData | None,
    *,
    quiet: bool,
    allow_changed_data: bool,
) -> None:
    """Run a `Trainer`; networks are released before the processes part."""
    trainer = Trainer(recipe, folder, world, quiet=quiet)
    if trainer.progress.finished:
        trainer.print_status(f"{folder}: this run is finished ({trainer.progress.finished})")
        return
    metric = sources.metric(recipe.train.metric)
    step = trainer.progress.step
    if data is None:
        data = TrainingData(
            sources.mixtures(recipe, world, must_exist=step == 0),
            sources.development(recipe, must_exist=step == 0),
        )
    known = world.broadcast(data_lists.read(folder))
    found = data_lists.lists_of(data.train, data.development)
    remark = data_lists.check(folder, found, step=step, allow=allow_changed_data, known=known)
    for line in [*data_lists.repeats(data.train), *([remark] if remark else [])]:
        trainer.print_status(line)
    if world.is_main:
        lists = data_lists.entry(found, step=step, changed=bool(remark), known=known)
        run.begin(folder, trainer.recipe, lists, torch.get_num_threads(), trainer.teacher)
    trainer.licences = sources.licences(data.train)
    trainer.fit(data.train, data.development, metric)
    distiller = trainer.state.distiller
    if distiller is not None and distiller.cache is not None and not quiet:
        trainer.print_status(distiller.cache.summary())


def _print_status(line: str) -> None:
    note(line)


def _no_status(_: str) -> None:
    pass
