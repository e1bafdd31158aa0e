"""A network on a bench: what goes in, what comes out, and what that is in numbers."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cached_property

import numpy as np

from stillwave.audio import Samples
from stillwave.evaluation.metrics import Score, score
from stillwave.evaluation.processes import run as in_processes
from stillwave.schema import SAMPLE_RATE
from stillwave.stats.crossed import Array

from .levels import lowered_db
from .place import Enhance, Network, Place, enhance_all, mono

WORSE = 0.1
"""PESQ by which a recording counts as made worse."""
KEYS = ("pesq_wb", "si_sdr")
Figures = dict[str, float]


@dataclass
class Bench:
    """One network and the test set; everything is at 16 kHz, `[N]`."""

    network: Network
    place: Place
    _enhance: Enhance | None = field(default=None, init=False)

    def enhance(self, samples: Samples, rate: int = SAMPLE_RATE) -> Samples:
        """`[N]` or `[channels, N]`."""
        if self._enhance is None:
            self._enhance = self.network.open()
        return self._enhance(samples, rate)

    @cached_property
    def clean(self) -> list[Samples]:
        """The references of the mixtures."""
        return [mono(pair.clean) for pair in self.place.pairs]

    @cached_property
    def noisy(self) -> list[Samples]:
        """The mixtures."""
        return [mono(pair.noisy) for pair in self.place.pairs]

    @cached_property
    def usual(self) -> list[Samples]:
        """What the network makes of the mixtures as they are."""
        return [mono(file) for file in enhance_all(self.network, self.place)]

    @cached_property
    def usual_pesq(self) -> Array:
        """Its PESQ-WB."""
        return self.score(self.clean, self.usual, ("pesq_wb",))["pesq_wb"]

    @cached_property
    def dry(self) -> list[int]:
        """Mixtures without a room: there, noise is what they are more than their references."""
        return [index for index, pair in enumerate(self.place.pairs) if not pair.rir]

    @property
    def noise(self) -> list[Samples]:
        """The noises of the dry mixtures."""
        return [self.noisy[index] - self.clean[index] for index in self.dry]

    def score(
        self, references: Sequence[Samples], estimates: Sequence[Samples], keys: Sequence[str] = KEYS
    ) -> dict[str, Array]:
        """Metric → `[recordings]`, NaN where there is none (two equal signals have no finite SI-SDR)."""
        tasks = [(one, other, keys) for one, other in zip(references, estimates, strict=True)]
        found = list(in_processes(score, tasks, self.place.jobs))
        return {key: np.array([_value(scores[key]) for scores in found]) for key in keys}

    def before_and_after(
        self,
        references: Sequence[Samples],
        given: Sequence[Samples],
        made: Sequence[Samples],
        pesq: str = "pesq_wb",
    ) -> Figures:
        """Means of PESQ and SI-SDR of input and output, and how many recordings were made worse."""
        keys = (pesq, "si_sdr")
        before, after = (self.score(references, signals, keys) for signals in (given, made))
        after[pesq] = floored(after[pesq])
        worse = after[pesq] - before[pesq] <= -WORSE
        return {
            "pesq_in": mean(before[pesq]),
            "pesq_out": mean(after[pesq]),
            "si_sdr_in": mean(before["si_sdr"]),
            "si_sdr_out": mean(after["si_sdr"]),
            "worse": float(worse.sum()),
            "of": float(len(references)),
        }

    def like_usual(self, made: Sequence[Samples]) -> Figures:
        """Estimates of the same mixtures, given otherwise, beside the usual ones: PESQ-WB, and how alike they are."""
        alike = self.score(self.usual, made, ("si_sdr",))["si_sdr"]
        found = floored(self.score(self.clean, made, ("pesq_wb",))["pesq_wb"])
        return {
            "pesq_usual": mean(floored(self.usual_pesq)),
            "pesq_out": mean(found),
            "alike_db": np.inf if np.isnan(alike).all() else mean(alike),
        }


def floored(pesq: Array) -> Array:
    """An estimate that PESQ cannot score, for it is silent or holds no utterance, gets the least there is, 1."""
    return np.where(np.isnan(pesq), 1.0, pesq)


def mean(values: Array) -> float:
    """Of those that are known; NaN if none is."""
    known = values[~np.isnan(values)]
    return float(known.mean()) if len(known) else float("nan")


def lowered(given: Sequence[Samples], made: Sequence[Samples]) -> Figures:
    """By how many dB signals became weaker: in the mean, the least and the most."""
    found = [lowered_db(before, after) for before, after in zip(given, made, strict=True)]
    return {"lowered": float(np.mean(found)), "least": min(found), "most": max(found)}


def _value(found: Score) -> float:
    return float("nan") if found.value is None else found.value
