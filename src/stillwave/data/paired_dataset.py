"""Train on a corpus of pairs: segments as a pure function of (seed, epoch, index)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from stillwave.audio import Samples
from stillwave.data import effects
from stillwave.data.manifest import ManifestError
from stillwave.data.multichannel import check_channels, frames_of, load_noisy, read_at
from stillwave.data.pair_manifest import Pair
from stillwave.data.sampling import SILENT_DB, TRIES
from stillwave.data.stored_outputs import StoredOutputs
from stillwave.schema import SAMPLE_RATE


@dataclass(frozen=True)
class Segment:
    """Noisy `[N]` or `[M, N]` and clean `[N]`, float32, aligned."""

    noisy: Samples
    clean: Samples
    pair: Pair
    start: int
    estimate: Samples | None = None
    """Estimate `[N]` of a teacher whose outputs are stored."""


class PairedSegments:
    """Segments of `segment_seconds` of a fixed corpus; all pairs are used before any is repeated.

    A pair shorter than a segment is padded with zeros. A crop without speech is drawn again, a few times.
    Raises ManifestError for no pairs, or too few channels for `microphones`.
    """

    def __init__(
        self, pairs: Sequence[Pair], segment_seconds: float, microphones: int = 1, seed: int = 0
    ) -> None:
        if not pairs:
            raise ManifestError("data.train: has no pairs to train on")
        check_channels(pairs, microphones)
        self.pairs = list(pairs)
        self.microphones, self.seed = microphones, seed
        self.frames = round(segment_seconds * SAMPLE_RATE)
        self.outputs: StoredOutputs | None = None
        """Outputs of a teacher, which become part of the segments."""
        self._order: tuple[tuple[int, int], Any] = ((-1, -1), None)

    def __len__(self) -> int:
        return len(self.pairs)

    def __call__(self, epoch: int, index: int) -> Segment:
        """Return segment `index` (≥ 0, unlimited) of an epoch. Raises AudioError for an unusable file."""
        rng = np.random.default_rng([self.seed, epoch, index])
        pair = self._pair(epoch, index)
        length = frames_of(pair, self.microphones)
        clean, start = self._target(rng, pair, length)
        noisy = load_noisy(pair, self.microphones, start, len(clean))
        estimate = None
        if self.outputs is not None:
            estimate = self._filled(self.outputs.read(pair, start, len(clean)))
        return Segment(self._filled(noisy), self._filled(clean), pair, start, estimate)

    def __getstate__(self) -> dict[str, Any]:
        return {**self.__dict__, "_order": ((-1, -1), None)}

    def _target(self, rng: np.random.Generator, pair: Pair, length: int) -> tuple[Samples, int]:
        wanted = min(self.frames, length)
        for _ in range(TRIES):
            start = int(rng.integers(length - wanted + 1))
            clean = read_at(pair.clean, start, wanted)[0]
            if wanted == length or effects.decibels(effects.active_level(clean)) > SILENT_DB:
                break
        return clean, start

    def _pair(self, epoch: int, index: int) -> Pair:
        turn, place = divmod(index, len(self))
        if self._order[0] != (epoch, turn):
            order = np.random.default_rng([self.seed, epoch, turn, 2**31]).permutation(len(self))
            self._order = ((epoch, turn), order)
        return self.pairs[int(self._order[1][place])]

    def _filled(self, samples: Samples) -> Samples:
        missing = self.frames - samples.shape[-1]
        if missing:
            samples = np.pad(samples, [(0, 0)] * (samples.ndim - 1) + [(0, missing)])
        return np.asarray(samples, np.float32)
