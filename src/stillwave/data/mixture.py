"""A mixture and its record; joined mixtures and silence."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from stillwave.audio import Samples
from stillwave.data import effects

_JOIN_SECONDS = 0.02


@dataclass(frozen=True)
class MixtureRecord:
    """The sources and effects of a mixture."""

    snr_db: float
    """SNR of the reverberant speech to all noise, before clipping and band-limiting."""
    level_dbfs: float
    """RMS of the noisy signal."""
    speaker: str
    speech: tuple[str, ...]
    noises: tuple[str, ...]
    room: str | None
    effects: tuple[str, ...]
    text: str = ""
    """Transcript, if the mixture contains one whole utterance."""
    noise_classes: tuple[str, ...] = ()
    """Labels of the noise recordings, `babble`, and kinds of synthetic noise, each once."""


@dataclass(frozen=True)
class Mixture:
    """Noisy and clean signal, `[N]` each, float32, sample-aligned, with peaks of at most 0.99."""

    noisy: Samples
    clean: Samples
    facts: MixtureRecord


def happens(rng: np.random.Generator, share: float) -> bool:
    """Draw whether an effect with a `share` of all examples applies; a share of 0 draws no random number."""
    return share > 0 and bool(rng.random() < share)


def silence(frames: int) -> Mixture:
    """Return a mixture of zeros."""
    facts = MixtureRecord(-np.inf, effects.decibels(0.0), "", (), (), None, ("silence",))
    return Mixture(np.zeros(frames, np.float32), np.zeros(frames, np.float32), facts)


def joined(rng: np.random.Generator, first: Mixture, second: Mixture, rate: int) -> Mixture:
    """Return the start of one mixture and the end of another, with the sources of both and the SNR of the first."""
    at = int(rng.uniform(0.25, 0.75) * len(first.clean))
    overlap = round(_JOIN_SECONDS * rate)
    one, other = first.facts, second.facts
    noisy = effects.join(first.noisy, second.noisy, at, overlap)
    facts = replace(
        one,
        level_dbfs=effects.decibels(effects.level(noisy)),
        speech=one.speech + other.speech,
        noises=one.noises + other.noises,
        effects=(*one.effects, *other.effects, "joined"),
    )
    return Mixture(noisy, effects.join(first.clean, second.clean, at, overlap), facts)
