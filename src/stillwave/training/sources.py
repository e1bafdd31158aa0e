"""What a recipe's `data` section and metric name, opened: mixtures, a development set, a score."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial

from stillwave.data.dataset import Signals, Source
from stillwave.data.mixing import Mixer
from stillwave.data.sources import build_source, development_pairs
from stillwave.evaluation.metrics import choose, score
from stillwave.schema import Pairs, Recipe
from stillwave.training.distributed import World
from stillwave.training.validation import Metric


def mixtures(recipe: Recipe, world: World, *, must_exist: bool = True) -> Source:
    """The training examples. Raises StillwaveError for data that cannot be used.

    Recordings of a manifest `must_exist` when a run starts; one that has vanished when it resumes is set aside.
    The first process decodes what has to be decoded while the others wait, and then they find it done.
    """
    microphones = recipe.model.microphones
    build = partial(build_source, recipe.data, microphones, recipe.seed, must_exist=must_exist)
    source = build() if world.is_main else None
    world.broadcast(None)
    return source or build()


def development(recipe: Recipe, *, must_exist: bool = True) -> Sequence[Signals]:
    """The development set, the same for every seed. Raises StillwaveError, also for a recording in it that is gone."""
    return development_pairs(recipe.data, microphones=recipe.model.microphones, must_exist=must_exist)


def trained_on(recipe: Recipe) -> str:
    """The sources of speech and noise, or the pairs, for the model's card."""
    train = recipe.data.train
    if isinstance(train, Pairs):
        return f"pairs: {train.pairs}"
    named = {kind: getattr(train, kind) for kind in ("speech", "noise")}
    return "; ".join(
        f"{kind}: {given}"
        if isinstance(given, str)
        else f"{kind}: " + ", ".join(f"{one.path} (weight {one.weight:g})" for one in given)
        for kind, given in named.items()
    )


def licences(source: Source) -> str:
    """The licences that the manifests of the training material name, for the model's card."""
    if not isinstance(source, Mixer):
        return ""
    recordings = [*source.speech.recordings, *source.noise.recordings, *source.rooms.recordings]
    named = sorted({recording.licence for recording in recordings} - {""})
    return ", ".join(named)


def metric(name: str) -> Metric:
    """A score by its name in `evaluate`. Raises StillwaveError for one that is unknown or not installed."""
    (key,) = choose([name])
    return lambda clean, estimate: score(clean, estimate, [key])[key]
