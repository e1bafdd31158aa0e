"""What a recipe's `data` section and metric name, opened: mixtures, a development set, a score."""

from __future__ import annotations

from collections.abc import Sequence

from stillwave.data.dataset import Signals, Source
from stillwave.data.mixing import Mixer
from stillwave.data.sources import build_source, development_pairs
from stillwave.evaluate.metrics import choose, score
from stillwave.schema import Pairs, Recipe
from stillwave.train.distributed import World
from stillwave.train.validation import Metric


def mixtures(recipe: Recipe, world: World) -> Source:
    """The training examples. Raises StillwaveError for recordings that are absent or cannot be used.

    The first process decodes what has to be decoded while the others wait, and then they find it done.
    """
    microphones = recipe.model.microphones
    source = build_source(recipe.data, microphones, recipe.seed, prepare=True) if world.first else None
    world.firsts(None)
    return source or build_source(recipe.data, microphones, recipe.seed)


def development(recipe: Recipe) -> Sequence[Signals]:
    """The development set, the same for every seed. Raises StillwaveError."""
    return development_pairs(recipe.data, microphones=recipe.model.microphones)


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
