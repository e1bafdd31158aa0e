"""Train or distil by a recipe: the run folder, the processes and the data around a `Trainer`."""

from __future__ import annotations

import contextlib
from pathlib import Path

import torch

from stillwave import checkpoint
from stillwave.console import err
from stillwave.files import as_path
from stillwave.schema import Recipe
from stillwave.training import run, threads
from stillwave.training.distributed import World, join
from stillwave.training.faults import explained
from stillwave.training.trainer import Trainer


def train(
    recipe: Recipe,
    run_folder: Path | str,
    *,
    quiet: bool = False,
    resume: bool = True,
    extend: bool = False,
    allow_changed_data: bool = False,
) -> Path:
    """Run a recipe, or go on with its run, and return the best checkpoint's folder (else the last).

    The same call resumes a run that was cut short, at its newest complete checkpoint; on a CPU the result
    is bit for bit that of a run without the cut. A finished run is left as it is. With `resume=False` a
    folder that holds a run is refused. `extend` makes a run longer whose learning rate depends on its end: the rate
    starts again there (`optimiser.restarts`). `allow_changed_data` lets a run go on with other recordings than it
    began with. `quiet` leaves out the progress bar.

    Whatever ends a run, a checkpoint of its last update is written if it can be.
    Raises StillwaveError: bad recipe, data or checkpoints, the run folder of another recipe, a full disk,
    too many non-finite batches or unusable recordings; and Stopped after Ctrl-C or SIGTERM.
    """
    folder = as_path(run_folder)
    with join(recipe.train.device) as world, contextlib.ExitStack() as stack:
        if world.is_main:
            recipe = stack.enter_context(run.opened(folder, recipe, resume=resume, extend=extend))
        recipe = world.broadcast(recipe)  # nobody reads before the folder is in order
        stack.enter_context(torch.random.fork_rng([world.device] if world.device.type == "cuda" else []))
        stack.enter_context(explained(recipe))
        stack.enter_context(threads.chosen(recipe, folder, world, _silent if quiet else _say))
        _run(recipe, folder, world, quiet, allow_changed_data)
        world.broadcast(None)  # nobody looks for the result, or leaves, before it is written
        return checkpoint.resolve(folder)


def _run(recipe: Recipe, folder: Path, world: World, quiet: bool, allow_changed_data: bool) -> None:
    """All that holds networks, apart: it is gone before the processes part."""
    from stillwave.training import data_lists, sources

    trainer = Trainer(recipe, folder, world, quiet=quiet)
    if trainer.progress.finished:
        trainer.say(f"{folder}: this run is finished ({trainer.progress.finished})")
        return
    metric = sources.metric(recipe.train.metric)
    step = trainer.progress.step
    source = sources.mixtures(recipe, world, must_exist=step == 0)
    development = sources.development(recipe, must_exist=step == 0)
    known = world.broadcast(data_lists.read(folder))
    found = data_lists.lists_of(source, development)
    remark = data_lists.check(folder, found, step=step, allow=allow_changed_data, known=known)
    for line in [*data_lists.repeats(source), *([remark] if remark else [])]:
        trainer.say(line)
    if world.is_main:
        lists = data_lists.noted(found, step=step, changed=bool(remark), known=known)
        run.begin(folder, trainer.recipe, lists, torch.get_num_threads())
    trainer.licences = sources.licences(source)
    trainer.fit(source, development, metric)
    if recipe.distill is not None and recipe.distill.cache is not None and not quiet:
        trainer.say(trainer.learner.objective.summary())


def _say(sentence: str) -> None:
    err.print(sentence, highlight=False, markup=False)


def _silent(_: str) -> None:
    pass
