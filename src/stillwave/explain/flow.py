"""Report on a distillation run: figures and an HTML page (`stillwave explain RUN`).

The networks are those of the newest checkpoint; the course of the training is read from the snapshots of the run
(`training/probe_batch.py`). The run is not modified and may still be in progress.
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
from stillwave.distill.pairing import counterparts
from stillwave.distill.similarity import Stream
from stillwave.errors import StillwaveError
from stillwave.explain import figures, page
from stillwave.schema import SAMPLE_RATE, Recipe
from stillwave.training import networks, run, sources, state, teachers
from stillwave.training.probe_batch import (
    FOLDER,
    ForwardRecord,
    ProbeBatch,
    fixed_batch,
    forward_record,
    frames_alike,
    read_snapshots,
    shown,
    snapshot,
)

KINDS: dict[Stream, figures.FigureKind] = {
    "time": figures.FigureKind(None, None),
    "batch": figures.FigureKind(None, "other example"),
    "frequency": figures.FigureKind("band", "band"),
}
SHOWN_STEPS = 4
"""Number of steps in the figure of changes, without the teacher."""


@dataclass(frozen=True)
class ExplainData:
    """The content of the report.

    Attributes:
        recipe: Recipe of the run.
        step: Step of the checkpoint.
        clip: First example of the fixed batch, noisy.
        record: Outputs of both networks for the fixed batch.
        distiller: Networks and method of the checkpoint.
        snapshots: Snapshots by step, the last of `step`; empty for a method without calibration weights.

    """

    recipe: Recipe
    step: int
    clip: figures.AudioClip
    record: ForwardRecord
    distiller: Distiller
    snapshots: dict[int, dict[str, Tensor]]


def explain(folder: Path, *, quiet: bool = False) -> Path:
    """Write the report of a run and return the path of its page.

    Raises StillwaveError if the folder is not a distillation run or has no checkpoint, or its teacher or development
    set is missing or has changed.
    """
    with torch.random.fork_rng(devices=[]):
        data = load(folder)
    target = folder / FOLDER
    drawings = _drawings(data)
    for figure, draw in drawings if quiet else track(drawings, "draw"):
        draw(target / figure.file)
    return page.write(target, data.recipe, data.step, _note(data), [figure for figure, _ in drawings])


def load(folder: Path) -> ExplainData:
    """Return the content of the report of a run. Raises StillwaveError as `explain`."""
    recipe = _recipe(folder)
    found = state.newest(folder / run.CHECKPOINTS)
    if found is None:
        raise StillwaveError(f"{folder}: no checkpoint yet; wait for the first one")
    progress, tensors = found
    if progress.teacher != teachers.teacher_sha256(recipe):
        raise StillwaveError(f"{folder}: the teacher of this run is not the one under its path any more")
    batch = fixed_batch(recipe, sources.development(recipe))
    built = networks.build_networks(recipe, torch.zeros_like(batch.noisy))
    built.student.load_state_dict(state.without_prefix("student", tensors))
    assert built.distiller is not None
    built.distiller.method.load_state_dict(state.without_prefix("method", tensors))
    record = forward_record(built.distiller, batch)
    snapshots = _snapshots(folder, progress.step, built.distiller, record, batch)
    clip = figures.AudioClip(np.atleast_2d(batch.noisy[0].numpy())[0], SAMPLE_RATE)
    return ExplainData(recipe, progress.step, clip, record, built.distiller, snapshots)


def _recipe(folder: Path) -> Recipe:
    file = folder / run.RECIPE
    if not file.is_file():
        raise StillwaveError(
            f"{folder}: not a run folder (it has no {run.RECIPE}); name the folder of a distillation run"
        )
    recipe = recipes.load(file)
    if not teachers.distils(recipe):
        raise StillwaveError(f"{folder}: the run has no teacher; name the folder of a distillation run")
    assert recipe.distill is not None
    live = recipe.distill.model_copy(update={"cache": None})  # not needed for one batch
    return recipe.model_copy(update={"distill": live})


def _snapshots(
    folder: Path, step: int, distiller: Distiller, record: ForwardRecord, batch: ProbeBatch
) -> dict[int, dict[str, Tensor]]:
    if not isinstance(distiller.method, I2srfTfckd):
        return {}
    return {**read_snapshots(folder, step), step: snapshot(distiller.method, record, batch)}


def _note(data: ExplainData) -> str:
    name = data.recipe.distill.method.name if data.recipe.distill else ""
    if not data.snapshots:
        extra = (
            ""
            if data.distiller.sets
            else " It does not compare layers; the layers shown are the default taps of the networks."
        )
        return f"The method {name} has no calibration weights; only similarities are shown.{extra}"
    if not any(c.calibrated for c in _comparisons(data).values()):
        return "Calibration is disabled in this run: the weights are fixed."
    return ""


Drawing = tuple[page.Figure, Callable[[Path], None]]


def _drawings(data: ExplainData) -> list[Drawing]:
    return [*_weights(data), *_similarities(data), *_course(data)]


def _weights(data: ExplainData) -> Iterator[Drawing]:
    if not data.snapshots:
        return
    for term, comparison in _comparisons(data).items():
        n, m = comparison.layers
        last = data.snapshots[data.step]
        streams = {str(s): last[f"alpha.{term}.{s}"].float().numpy() for s in comparison.streams}
        yield (
            page.Figure(
                f"weights_{term}.png", "Calibration weights", f"{term}: {n} student and {m} teacher layers"
            ),
            partial(figures.draw_weights, clip=data.clip, streams=streams, students=n, teachers=m),
        )


def _similarities(data: ExplainData) -> Iterator[Drawing]:
    for name, (student_taps, teacher_taps) in data.record.sets.items():
        comparison = _comparisons(data).get(name)
        for stream in comparison.streams if comparison else ("time",):
            rows = [
                figures.FigureRow(
                    student_taps[i]
                    if student_taps[i] == teacher_taps[j]
                    else f"teacher: {teacher_taps[j]}\nstudent: {student_taps[i]}",
                    _matrix(data.record.teacher.features[name][j], stream, comparison),
                    _matrix(data.record.student.features[name][i], stream, comparison),
                )
                for i, j in counterparts(len(student_taps), len(teacher_taps))
            ]
            yield (
                page.Figure(
                    f"similarity_{name}_{stream}.png",
                    f"Similarities, {stream} stream",
                    f"{name} {_LEGENDS[stream]}",
                ),
                partial(figures.draw_similarities, clip=data.clip, rows=rows, kind=KINDS[stream]),
            )


_LEGENDS: dict[Stream, str] = {
    "time": "(cosine between frames)",
    "batch": "(cosine with the other examples of the batch at each frame)",
    "frequency": "(cosine between bands, mean over the frames)",
}


def _matrix(feature: Tensor, stream: Stream, comparison: CalibratedDistance | None) -> figures.Values:
    """Return the similarities of the first example as an image [y, x]."""
    if comparison is None or stream == "time":
        return np.asarray(frames_alike(feature).numpy())
    cosine = comparison.similarities(to_float32(feature))[stream].cosine[0]
    if stream == "batch":
        return np.asarray(cosine[:, 1:].T.numpy())  # without the example itself
    return np.asarray(cosine.mean(0).numpy())


def _course(data: ExplainData) -> Iterator[Drawing]:
    steps = sorted(data.snapshots)
    if len(steps) < 2:
        return
    snapshots = [data.snapshots[step] for step in steps]
    terms = _comparisons(data)
    distances = {term: [float(one[f"distance.{term}"]) for one in snapshots] for term in terms}
    yield (
        page.Figure("distances.png", "During training", "Weighted distance of each term"),
        partial(figures.draw_distances, lines=distances, steps=steps),
    )
    if weighed := {term: _means(term, c, snapshots) for term, c in terms.items() if c.calibrated}:
        yield (
            page.Figure("course.png", "During training", "Mean weight of each teacher layer"),
            partial(figures.draw_course, terms=weighed, steps=steps),
        )
    picked = [steps[round(k * (len(steps) - 1) / (SHOWN_STEPS - 1))] for k in range(SHOWN_STEPS)]
    picked = sorted(set(picked))
    rows = {
        name: [
            *(data.snapshots[step][f"similarity.{name}"].float().numpy() for step in picked),
            frames_alike(features[shown(features)]).numpy(),
        ]
        for name, features in data.record.teacher.features.items()
    }
    columns = [*(f"student, step {step}" for step in picked), "teacher"]
    yield (
        page.Figure(
            "change.png", "During training", "Similarity of the frames in the last layer of each set"
        ),
        partial(figures.draw_change, clip=data.clip, columns=columns, rows=rows),
    )


def _means(
    term: str, comparison: CalibratedDistance, snapshots: list[dict[str, Tensor]]
) -> dict[str, dict[str, list[float]]]:
    """Return α averaged over frames and student layers, {stream: {teacher layer: value at each step}}."""
    found = {}
    for stream in comparison.streams:
        means = torch.stack([one[f"alpha.{term}.{stream}"].float().mean((0, 1)) for one in snapshots], 1)
        found[str(stream)] = {f"teacher {j + 1}": mean.tolist() for j, mean in enumerate(means)}
    return found


def _comparisons(data: ExplainData) -> dict[str, CalibratedDistance]:
    method = data.distiller.method
    if not isinstance(method, I2srfTfckd):
        return {}
    return {name: c for name, c in method.comparisons.items() if isinstance(c, CalibratedDistance)}
