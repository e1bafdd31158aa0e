"""Examples from a teacher's estimates: the recordings themselves, or remixes of them (RemixIT, Tzinis et al. 2022).

A remix has the estimated speech of one piece and the estimated noise of another; the target is the speech.

Which pieces give speech and which give noise is decided by `judge`, from the levels of the estimates.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from stillwave.adaptation.recordings import PIECE, Material
from stillwave.audio import Samples
from stillwave.data import effects

Indices = npt.NDArray[np.int64]


@dataclass(frozen=True)
class Limits:
    """Estimated SNRs of pieces, in dB, and levels, in dBFS, within which estimates are used."""

    speech_snr_db: float = 0.0
    """Least SNR for a piece to give speech: below it the estimate holds too much noise, or is noise."""
    noise_snr_db: float = 20.0
    """Greatest SNR for a piece to give noise: above it the rest of the recording is mostly speech that was removed."""
    level_dbfs: float = -65.0
    """Least level of an estimate; below it there is nothing to learn."""
    louder_db: float = 1.0
    """The estimate of speech is at most this much louder than the recording."""


@dataclass(frozen=True)
class Pieces:
    """Pieces of `PIECE` samples to train on, by their first samples, and the bounds of their recordings, `[n, 2]`."""

    starts: Indices
    bounds: Indices
    usable: Indices
    """Numbers of the pieces whose estimate is usable,"""
    speech: Indices
    """of those that give speech to a remix,"""
    noise: Indices
    """and of those that give noise."""
    left_out: dict[str, int]
    """Number of pieces by the reason for which they give no speech, or no noise."""


def judge(material: Material, speech: Samples, limits: Limits | None = None) -> Pieces:
    """Cut the recordings that are not held out into pieces, and decide by its estimate what each gives."""
    limits = limits or Limits()
    reasons: Counter[str] = Counter()
    rows = [
        (start, one.start, one.start + one.frames, *_gives(material.samples, speech, start, limits, reasons))
        for one in material.stretches
        if not one.held_out
        for start in range(one.start, one.start + one.frames - PIECE + 1, PIECE)
    ]
    table = np.array(rows, np.int64).reshape(-1, 6)
    usable, speaking, noisy = (np.flatnonzero(table[:, column]) for column in (3, 4, 5))
    left_out = {reason: count for reason, count in reasons.most_common() if count}
    return Pieces(table[:, 0], table[:, 1:3], usable, speaking, noisy, left_out)


def _gives(
    samples: Samples, speech: Samples, start: int, limits: Limits, reasons: Counter[str]
) -> tuple[bool, bool, bool]:
    """Return whether an estimate is usable, and gives speech and noise; count the reasons if not."""
    recording, estimate = (np.array(x[start : start + PIECE]) for x in (samples, speech))
    if not np.isfinite(estimate).all():
        reasons["the teacher failed"] += 1
        return False, False, False
    whole, voice, rest = (
        effects.decibels(effects.level(x)) for x in (recording, estimate, recording - estimate)
    )
    if voice > whole + limits.louder_db:
        reasons["the estimate is louder than the recording"] += 1
        return False, False, False
    if whole < limits.level_dbfs:
        reasons["the recording is silent"] += 1
        return False, False, False
    gives_speech = voice >= limits.level_dbfs and voice - rest >= limits.speech_snr_db
    gives_noise = rest >= limits.level_dbfs and voice - rest <= limits.noise_snr_db
    reasons["no clear speech"] += not gives_speech
    reasons["no noise"] += not gives_noise
    return True, gives_speech, gives_noise


@dataclass(frozen=True)
class Remix:
    """Remixed recording and its target, `[N]` each, and the first samples of the pieces that they were made from."""

    noisy: Samples
    clean: Samples
    speech: int
    noise: int


class Remixes:
    """Pieces of recordings, and remixes, with estimates of speech as targets: a function of (seed, epoch, index).

    A share of `remixed` examples has the noise of another piece than the speech, changed by up to `gain_db`; the others
    are the recordings themselves. All pieces are used before any is repeated. They start up to half a piece earlier or
    later, within their recording. Levels are those of the estimates.
    """

    def __init__(
        self,
        material: Material,
        speech: Samples,
        pieces: Pieces,
        seed: int = 0,
        remixed: float = 1.0,
        gain_db: float = 5.0,
    ) -> None:
        self.samples, self.speech, self.pieces = material.samples, speech, pieces
        self.seed, self.remixed, self.gain_db = seed, remixed, gain_db

    def __call__(self, epoch: int, index: int) -> Remix:
        """Return example `index` (≥ 0, unlimited) of an epoch."""
        rng = np.random.default_rng([self.seed, epoch, index])
        if rng.random() >= self.remixed:
            start = self._start(rng, self._order(self.pieces.usable, epoch, index, 0))
            return Remix(self._cut(self.samples, start), self._cut(self.speech, start), start, start)
        one, other = (self._start(rng, piece) for piece in self.pair(epoch, index))
        clean = self._cut(self.speech, one)
        noise = self._cut(self.samples, other) - self._cut(self.speech, other)
        gain = effects.amplitude(rng.uniform(-self.gain_db, self.gain_db))
        return Remix(clean + gain * noise, clean, one, other)

    def pair(self, epoch: int, index: int) -> tuple[int, int]:
        """Return the numbers of the pieces that give speech and noise to a remix: different ones, if there are two."""
        givers = self.pieces.noise
        speech = self._order(self.pieces.speech, epoch, index, 1)
        noise = self._order(givers, epoch, index, 2)
        if noise == speech:
            noise = int(givers[(np.searchsorted(givers, noise) + 1) % len(givers)])
        return speech, noise

    def _order(self, numbers: Indices, epoch: int, index: int, kind: int) -> int:
        turn, place = divmod(index, len(numbers))
        order = np.random.default_rng([self.seed, epoch, turn, kind, 2**31]).permutation(len(numbers))
        return int(numbers[order[place]])

    def _start(self, rng: np.random.Generator, piece: int) -> int:
        low, high = self.pieces.bounds[piece]
        start = self.pieces.starts[piece] + rng.integers(-PIECE // 2, PIECE // 2 + 1)
        return int(np.clip(start, low, high - PIECE))

    @staticmethod
    def _cut(samples: Samples, start: int) -> Samples:
        return np.array(samples[start : start + PIECE])
