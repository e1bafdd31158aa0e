"""What a recipe's `data` section and metric name, opened: mixtures, a development set, a score."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from stillwave.data.dataset import Signals, Source
from stillwave.data.effects import Samples
from stillwave.data.mixing import Mixer
from stillwave.data.sources import build_mixer, development_pairs
from stillwave.errors import MissingExtraError, RecipeError
from stillwave.schema import SAMPLE_RATE, Recipe
from stillwave.train.distributed import World
from stillwave.train.validation import Metric


def mixtures(recipe: Recipe, world: World) -> Source:
    """The training mixtures. Raises StillwaveError for recordings that are absent or cannot be used.

    The first process decodes what has to be decoded while the others wait, and then they find it done.
    """
    if recipe.model.microphones != 1:
        raise RecipeError("model.microphones: mixtures made on the fly have one microphone; set it to 1")
    mixer = build_mixer(recipe.data, seed=recipe.seed, prepare=True) if world.first else None
    world.firsts(None)
    return mixer or build_mixer(recipe.data, seed=recipe.seed)


def development(recipe: Recipe) -> Sequence[Signals]:
    """The development set, the same for every seed. Raises StillwaveError."""
    return development_pairs(recipe.data)


def licences(source: Source) -> str:
    """The licences that the manifests of the training material name, for the model's card."""
    if not isinstance(source, Mixer):
        return ""
    recordings = [*source.speech.recordings, *source.noise.recordings, *source.rooms.recordings]
    named = sorted({recording.licence for recording in recordings} - {""})
    return ", ".join(named)


def metric(name: str) -> Metric:
    """A score by name: `si_sdr` or `pesq_wb`. Raises MissingExtraError for PESQ without its package."""
    if name == "si_sdr":
        return si_sdr
    try:
        from pesq import pesq
    except ImportError:
        raise MissingExtraError("train.metric: pesq_wb", "eval") from None
    return lambda clean, estimate: float(pesq(SAMPLE_RATE, clean, estimate, "wb"))


def si_sdr(clean: Samples, estimate: Samples) -> float:
    """Scale-invariant signal-to-distortion ratio in dB, means removed (Le Roux et al. 2019, eq. 3).

    NaN where either is silent.
    """
    s, e = (x.astype(np.float64) - x.mean(dtype=np.float64) for x in (clean, estimate))
    with np.errstate(divide="ignore", invalid="ignore"):
        target = (e @ s) / (s @ s) * s
        return float(10 * np.log10((target @ target) / ((e - target) @ (e - target))))
