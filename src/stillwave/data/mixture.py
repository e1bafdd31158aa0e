"""A mixture and how it came about; mixtures of mixtures, and of nothing."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from stillwave.audio import Samples
from stillwave.data import effects

_JOIN_SECONDS = 0.02


@dataclass(frozen=True)
class MixtureRecord:
    """How a mixture came about."""

    snr_db: float
    """SNR of the reverberant speech to all noise, before clipping and band-limiting."""
    level_dbfs: float
    """RMS of the noisy signal, as it is."""
    speaker: str
    speech: tuple[str, ...]
    noises: tuple[str, ...]
    room: str | None
    effects: tuple[str, ...]
    text: str = ""
    """Transcript, if the mixture contains one whole utterance."""


@dataclass(frozen=True)
class Mixture:
    """Noisy and clean, `[N]` each, float32, sample-aligned; neither passes 0.99."""

    noisy: Samples
    clean: Samples
    facts: MixtureRecord


def happens(rng: np.random.Generator, share: float) -> bool:
    """Whether something that befalls a share of all examples befalls this one; nothing is drawn for a share of 0."""
    return share > 0 and bool(rng.random() < share)


def silence(frames: int) -> Mixture:
    """Zeros, noisy and clean."""
    facts = MixtureRecord(-np.inf, effects.decibels(0.0), "", (), (), None, ("silence",))
    return Mixture(np.zeros(frames, np.float32), np.zeros(frames, np.float32), facts)


def joined(rng: np.random.Generator, first: Mixture, second: Mixture, rate: int) -> Mixture:
    """The start of one mixture and the end of another; the facts name what both hold, and the first's SNR."""
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
