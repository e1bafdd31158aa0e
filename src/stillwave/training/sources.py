"""Open the data and the metric that a recipe names."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial

from stillwave.data.dataset import Signals, Source
from stillwave.data.mixing import Mixer
from stillwave.data.paired_dataset import PairedSegments
from stillwave.data.sources import build_source, development_pairs
from stillwave.evaluation.metrics import choose, score
from stillwave.schema import Pairs, Recipe
from stillwave.training.distributed import World
from stillwave.training.teachers import stored_outputs
from stillwave.training.validation import Metric


def mixtures(recipe: Recipe, world: World, *, must_exist: bool = True) -> Source:
    """Return the training examples. Raise StillwaveError for data that cannot be used.

    Recordings of a manifest `must_exist` when a run starts; those missing when it resumes are skipped.
    The main process fills the decoded-audio cache while the others wait.
    """
    microphones = recipe.model.microphones
    rate = recipe.model.sample_rate
    build = partial(build_source, recipe.data, microphones, recipe.seed, rate=rate, must_exist=must_exist)
    source = build() if world.is_main else None
    world.barrier()
    return with_outputs(source or build(), recipe)


def with_outputs(source: Source, recipe: Recipe) -> Source:
    """Return the training examples with the teacher's estimates, if the teacher is a folder of outputs."""
    if isinstance(source, PairedSegments):
        source.outputs = stored_outputs(recipe)
    return source


def development(recipe: Recipe, *, must_exist: bool = True) -> Sequence[Signals]:
    """Return the development set, the same for every seed. Raise StillwaveError, also for a missing recording."""
    model = recipe.model
    return development_pairs(
        recipe.data, microphones=model.microphones, rate=model.sample_rate, must_exist=must_exist
    )


def trained_on(recipe: Recipe) -> str:
    """Return the sources of speech and noise, or the pairs, for the model card."""
    train = recipe.data.train
    if isinstance(train, Pairs):
        return f"pairs: {train.pairs}"
    named = {kind: getattr(train, kind) for kind in ("speech", "noise")}
    return "; ".join(
        f"{kind}: {names}"
        if isinstance(names, str)
        else f"{kind}: " + ", ".join(f"{one.path} (weight {one.weight:g})" for one in names)
        for kind, names in named.items()
    )


def licences(source: Source) -> str:
    """Return the licences in the manifests of the training data, for the model card."""
    if not isinstance(source, Mixer):
        return ""
    recordings = [*source.speech.recordings, *source.noise.recordings, *source.rooms.recordings]
    named = sorted({recording.licence for recording in recordings} - {""})
    return ", ".join(named)


def metric(name: str) -> Metric:
    """Return a metric by its name in `evaluate`. Raise StillwaveError if it is unknown or not installed."""
    (key,) = choose([name])
    return lambda clean, estimate: score(clean, estimate, [key])[key]
