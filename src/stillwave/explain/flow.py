"""`stillwave explain RUN`: a run folder in, pictures and a page out.

The networks are those of the run's newest checkpoint; what lies before it is read from the snapshots that the run
kept (`training/snapshots.py`). Nothing of the run is changed, so it may be going on meanwhile.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from stillwave import recipe as recipes
from stillwave.console import track
from stillwave.distill import Distiller, I2srfTfckd
from stillwave.distill.calibrated_distance import CalibratedDistance
from stillwave.distill.method import to_float32
from stillwave.distill.similarity import Stream
from stillwave.errors import StillwaveError
from stillwave.explain import page, pictures
from stillwave.schema import SAMPLE_RATE, Recipe
from stillwave.training import objective, run, sources, state
from stillwave.training.probe_batch import (
    ForwardRecord,
    ProbeBatch,
    fixed_batch,
    forward_record,
    frames_alike,
    shown,
    snapshot,
)
from stillwave.training.snapshots import FOLDER, read

KINDS: dict[Stream, pictures.FigureKind] = {
    "time": pictures.FigureKind(None, None),
    "batch": pictures.FigureKind(None, "other example"),
    "frequency": pictures.FigureKind("band", "band"),
}
SHOWN_STEPS = 4
"""Columns of the picture of change, before the teacher's."""


@dataclass(frozen=True)
class ExplainData:
    """All that is drawn."""

    recipe: Recipe
    step: int
    heard: pictures.AudioClip
    seen: ForwardRecord
    distiller: Distiller
    snapshots: dict[int, dict[str, Tensor]]
    """The last is of `step`; empty for a method without calibration weights."""


def explain(folder: Path, *, quiet: bool = False) -> Path:
    """Draw a run, and return the page.

    Raises StillwaveError: no run, no distillation, no checkpoint yet, a teacher or development set that is gone or
    another.
    """
    with torch.random.fork_rng(devices=[]):
        story = _told(folder)
    target = folder / FOLDER
    drawings = _drawings(story)
    figures = []
    for figure, draw in drawings if quiet else track(drawings, "draw"):
        draw(target / figure.file)
        figures.append(figure)
    return page.write(target, story.recipe, story.step, _note(story), figures)


def _told(folder: Path) -> ExplainData:
    recipe = _recipe(folder)
    found = state.newest(folder / run.CHECKPOINTS)
    if found is None:
        raise StillwaveError(f"{folder}: has no checkpoint yet; wait for the first one")
    progress, tensors = found
    if progress.teacher != objective.teacher_sha256(recipe):
        raise StillwaveError(
            f"{folder}: the teacher that was distilled is not the one under its path any more"
        )
    batch = fixed_batch(recipe, sources.development(recipe))
    made = objective.make_objective(recipe, torch.zeros_like(batch.noisy))
    made.student.load_state_dict(state.without_prefix("student", tensors))
    made.load_method_state(state.without_prefix("method", tensors))
    assert made.distiller is not None
    seen = forward_record(made.distiller, batch)
    snapshots = _snapshots(folder, progress.step, made.distiller, seen, batch)
    heard = pictures.AudioClip(np.atleast_2d(batch.noisy[0].numpy())[0], SAMPLE_RATE)
    return ExplainData(recipe, progress.step, heard, seen, made.distiller, snapshots)


def _recipe(folder: Path) -> Recipe:
    file = folder / run.RECIPE
    if not file.is_file():
        raise StillwaveError(
            f"{folder}: is not a run folder (it has no {run.RECIPE}); give that of a distillation"
        )
    recipe = recipes.load(file)
    if not objective.distils(recipe):
        raise StillwaveError(f"{folder}: is a run without a teacher; there is nothing to explain")
    assert recipe.distill is not None
    live = recipe.distill.model_copy(update={"cache": None})  # of one batch nothing need be kept
    return recipe.model_copy(update={"distill": live})


def _snapshots(
    folder: Path, step: int, distiller: Distiller, seen: ForwardRecord, batch: ProbeBatch
) -> dict[int, dict[str, Tensor]]:
    if not isinstance(distiller.method, I2srfTfckd):
        return {}
    return {**read(folder, step), step: snapshot(distiller.method, seen, batch)}


def _note(story: ExplainData) -> str:
    name = story.recipe.distill.method.name if story.recipe.distill else ""
    if not story.snapshots:
        extra = (
            "" if story.distiller.sets else " It compares no layers: these are those that the networks name."
        )
        return f"The method {name} has no calibration weights, so only similarities are shown.{extra}"
    if not any(c.calibrated for c in _comparisons(story).values()):
        return "This run is without calibration: its weights are fixed."
    return ""


# --- what there is to draw --------------------------------------------------------------------------------


Drawing = tuple[page.Picture, Callable[[Path], None]]


def _drawings(story: ExplainData) -> list[Drawing]:
    return [*_weights(story), *_similarities(story), *_course(story)]


def _weights(story: ExplainData) -> Iterator[Drawing]:
    if not story.snapshots:
        return
    for term, comparison in _comparisons(story).items():
        n, m = comparison.layers
        last = story.snapshots[story.step]
        streams = {str(s): last[f"alpha.{term}.{s}"].float().numpy() for s in comparison.streams}
        yield (
            page.Picture(
                f"weights_{term}.png", "Calibration weights", f"{term}: {n} student and {m} teacher layers"
            ),
            partial(pictures.draw_weights, heard=story.heard, streams=streams, students=n, teachers=m),
        )


def _similarities(story: ExplainData) -> Iterator[Drawing]:
    for name, (ours, theirs) in story.seen.sets.items():
        comparison = _comparisons(story).get(name)
        for stream in comparison.streams if comparison else ("time",):
            rows = [
                pictures.FigureRow(
                    ours[i] if ours[i] == theirs[j] else f"teacher: {theirs[j]}\nstudent: {ours[i]}",
                    _matrix(story.seen.teacher.features[name][j], stream, comparison),
                    _matrix(story.seen.student.features[name][i], stream, comparison),
                )
                for i, j in _met(len(ours), len(theirs))
            ]
            yield (
                page.Picture(
                    f"similarity_{name}_{stream}.png",
                    f"Similarities, {stream} stream",
                    f"{name} {_LEGENDS[stream]}",
                ),
                partial(pictures.draw_similarities, heard=story.heard, rows=rows, kind=KINDS[stream]),
            )


_LEGENDS: dict[Stream, str] = {
    "time": "(cosine between frames)",
    "batch": "(cosine with the other examples of the batch at each frame)",
    "frequency": "(cosine between bands, mean over the frames)",
}


def _matrix(feature: Tensor, stream: Stream, comparison: CalibratedDistance | None) -> pictures.Values:
    """Of the first example, as a picture [y, x]."""
    if comparison is None or stream == "time":
        return np.asarray(frames_alike(feature).numpy())
    cosine = comparison.similarities(to_float32(feature))[stream].cosine[0]
    if stream == "batch":
        return np.asarray(cosine[:, 1:].T.numpy())  # not with itself
    return np.asarray(cosine.mean(0).numpy())


def _course(story: ExplainData) -> Iterator[Drawing]:
    steps = sorted(story.snapshots)
    if len(steps) < 2:
        return
    moments = [story.snapshots[step] for step in steps]
    terms = _comparisons(story)
    distances = {term: [float(moment[f"distance.{term}"]) for moment in moments] for term in terms}
    yield (
        page.Picture("distances.png", "Over the training", "the distance of each term, with its weight"),
        partial(pictures.draw_distances, lines=distances, steps=steps),
    )
    if weighed := {term: _means(term, c, moments) for term, c in terms.items() if c.calibrated}:
        yield (
            page.Picture("course.png", "Over the training", "the mean weight of each teacher layer"),
            partial(pictures.draw_course, terms=weighed, steps=steps),
        )
    picked = [steps[round(k * (len(steps) - 1) / (SHOWN_STEPS - 1))] for k in range(SHOWN_STEPS)]
    picked = sorted(set(picked))
    rows = {
        name: [
            *(story.snapshots[step][f"similarity.{name}"].float().numpy() for step in picked),
            frames_alike(features[shown(features)]).numpy(),
        ]
        for name, features in story.seen.teacher.features.items()
    }
    columns = [*(f"student, step {step}" for step in picked), "teacher"]
    yield (
        page.Picture(
            "change.png", "Over the training", "how alike the frames are in the last layer of each set"
        ),
        partial(pictures.draw_change, heard=story.heard, columns=columns, rows=rows),
    )


def _means(
    term: str, comparison: CalibratedDistance, moments: list[dict[str, Tensor]]
) -> dict[str, dict[str, list[float]]]:
    """α over the frames and the student's layers, {stream: {teacher layer: value at each step}}."""
    found = {}
    for stream in comparison.streams:
        means = torch.stack([moment[f"alpha.{term}.{stream}"].float().mean((0, 1)) for moment in moments], 1)
        found[str(stream)] = {f"teacher {j + 1}": mean.tolist() for j, mean in enumerate(means)}
    return found


def _comparisons(story: ExplainData) -> dict[str, CalibratedDistance]:
    method = story.distiller.method
    if not isinstance(method, I2srfTfckd):
        return {}
    return {name: c for name, c in method.comparisons.items() if isinstance(c, CalibratedDistance)}


def _met(n: int, m: int) -> list[tuple[int, int]]:
    return [(i, -(-(i + 1) * m // n) - 1) for i in range(n)]
