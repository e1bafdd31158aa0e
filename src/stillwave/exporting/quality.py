"""Score the float32 and the quantised graph on the same recordings."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from stillwave.audio import Samples
from stillwave.console import track
from stillwave.data.pair_sets import Pair, load_pair
from stillwave.errors import StillwaveError
from stillwave.exporting import verify
from stillwave.exporting.signals import shared_signals
from stillwave.inference.metadata import ModelMetadata

KEYS = ("pesq_wb", "stoi", "si_sdr")
PESQ_TARGET = 0.05
"""A greater mean loss of PESQ-WB is reported with a warning."""
FRAMES = 50
"""Frames per block."""


@dataclass(frozen=True)
class QualityLoss:
    """Means of one metric (`evaluation.metrics`) over the recordings that have a score from both graphs."""

    float32: float
    reduced: float
    recordings: int

    @property
    def lost(self) -> float:
        """Return the loss of the quantised graph; negative for a gain."""
        return self.float32 - self.reduced


def compare(
    full: verify.Runner, reduced: verify.Runner, meta: ModelMetadata, pairs: Sequence[Pair]
) -> dict[str, QualityLoss]:
    """Return the losses by metric.

    Raises AudioError or ManifestError for recordings that cannot be used, StillwaveError if none has a score.
    """
    from stillwave.evaluation.metrics import score

    found: dict[str, list[tuple[float, float]]] = {key: [] for key in KEYS}
    for pair in track(pairs, "scoring"):
        clean = np.asarray(load_pair(pair).clean)
        noisy = shared_signals(pair, meta.microphones)[None, :, : len(clean)]
        before, after = (score(clean, _estimate(run, meta, noisy), KEYS) for run in (full, reduced))
        for key in KEYS:
            one, other = before[key].value, after[key].value
            if one is not None and other is not None:
                found[key].append((one, other))
    if not all(found.values()):
        missing = next(key for key, values in found.items() if not values)
        raise StillwaveError(f"'{missing}' could not be scored on any of the {len(pairs)} recordings")
    return _means(found)


def _estimate(run: verify.Runner, meta: ModelMetadata, noisy: Samples) -> Samples:
    estimate: Samples = verify.enhance(run, meta, noisy, (FRAMES,))[0]
    return estimate


def _means(found: Mapping[str, Sequence[tuple[float, float]]]) -> dict[str, QualityLoss]:
    return {
        key: QualityLoss(
            float(np.mean([one for one, _ in values])), float(np.mean([o for _, o in values])), len(values)
        )
        for key, values in found.items()
    }
