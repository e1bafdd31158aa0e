"""A grid over short recordings, four test mixtures and an untrained teacher, which runs in seconds."""

import json

import numpy as np
import soundfile

from stillwave import checkpoint
from stillwave import recipe as recipes
from stillwave.compare import Grid, open_grid
from stillwave.compare.executors import JobResult
from stillwave.compare.grid import examine_test
from stillwave.compare.names import parse_methods, parse_seeds, parse_students
from stillwave.compare.work import work
from stillwave.errors import StillwaveError

RATE = 16_000


RECIPE = """
name: tiny
model: {channels: 8, blocks: 1, depth: 1}
data:
  train: {speech: FOLDER/speech, noise: FOLDER/noise}
  development: FOLDER/test
  development_items: 2
  segment_seconds: 0.25
  cache: FOLDER/cache
  workers: 0
  mixing: {babble: 0}
optimiser: {warmup_steps: 1}
train: {steps: 2, batch_size: 2, checkpoint_every: 1, validate_every: 1, device: cpu, tensorboard: false}
distill: {teacher: FOLDER/teacher, balance_steps: 1, method: {fusion_channels: 8}}
"""


def tone(hertz, time):
    return 0.2 * np.sin(2 * np.pi * hertz * time) * np.sin(2 * np.pi * 3 * time) ** 2


def write_test(folder, rng, count=4):
    lines = ["id,snr_db"]
    for side in ("noisy", "clean"):
        (folder / side).mkdir(parents=True)
    for index in range(count):
        clean = tone(250 + 50 * index, np.arange(RATE // 2) / RATE)
        snr = (0, 10)[index % 2]
        noise = rng.standard_normal(len(clean))
        noise *= np.sqrt((clean**2).sum() / (noise**2).sum()) * 10 ** (-snr / 20)
        soundfile.write(folder / f"clean/{index}.wav", clean, RATE)
        soundfile.write(folder / f"noisy/{index}.wav", clean + noise, RATE)
        lines.append(f"{index},{snr}")
    (folder / "mixtures.csv").write_text("\n".join(lines) + "\n")


def described(
    world, folder, *overrides, methods="at", seeds="0", students=None, variants=(), metrics=("si_sdr",)
):
    """A grid, not opened yet."""
    recipe = recipes.load(world / "recipe.yaml", overrides)
    place = checkpoint.resolve(recipe.distill.teacher)
    return Grid(
        folder=folder,
        recipe=recipe,
        teacher=checkpoint.read_card(place).sha256,
        test=examine_test(world / "test"),
        metrics=metrics,
        methods=parse_methods(methods, recipe.distill, variants),
        seeds=parse_seeds(seeds),
        students=parse_students(students, recipe.model),
    )


def opened(grid):
    return open_grid(grid, grid.recipe.distill.teacher)


def here(jobs, at_once, stop):
    """An engine without processes: quick, and it can be patched."""
    for job in jobs:
        if stop():
            yield JobResult(job.folder, "stopped")
            continue
        try:
            work(job)
        except StillwaveError as error:
            yield JobResult(job.folder, "failed", str(error))
        else:
            yield JobResult(job.folder, "done")


def scores_of(grid):
    """Every score of every cell and reference, by path."""
    # Of a running grid: a search through all folders would meet checkpoints that vanish.
    found = [*grid.glob("references/*/scores.csv"), *grid.glob("runs/*/*/*/scores.csv")]
    return {str(f.relative_to(grid)): f.read_text() for f in sorted(found)}


def results_of(grid):
    return json.loads((grid / "report" / "results.json").read_text())


def sources_with_nan(recipe, world, **_):
    """Training mixtures that no run survives."""
    from types import SimpleNamespace

    silent = np.full(round(recipe.data.segment_seconds * RATE), np.nan, dtype=np.float32)
    return lambda epoch, index: SimpleNamespace(noisy=silent, clean=silent)
