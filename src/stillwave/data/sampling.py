"""Draw utterances (joined to length), noise (looped to length), babble and rooms for a mixture.

A silent draw is repeated, at most `TRIES` times; then the loudest part of the last recording is used. If that is silent
too, an error names the recording.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from stillwave.audio import Samples
from stillwave.data import effects
from stillwave.data.decoded_cache import CachedClip, DecodedAudioCache
from stillwave.data.manifest import Recording
from stillwave.data.pools import Pool, Utterance, parts_of, shares
from stillwave.errors import AudioError

TRIES = 8
SILENT_DB = -65.0
"""Level in dBFS below which an utterance or noise counts as silent."""
BABBLERS = (4, 8)
"""Smallest and largest number of speakers in babble."""

_PAUSE = (0.1, 0.4)
"""Seconds between joined utterances."""
_JOIN = 0.005
_OVERLAP = 0.05
_LONGEST_SEARCH = 60.0
_MATCH_DB = 12.0
"""Largest change in dB of joined utterances towards the level of the first one."""


@dataclass(frozen=True)
class Excerpt:
    """Samples `[N]` and the recordings that they consist of."""

    samples: Samples
    recordings: tuple[Recording, ...]
    speed: float = 1.0
    """Factor by which they are played faster, which raises all frequencies."""

    @property
    def bandwidth_hz(self) -> float:
        """Least bandwidth of the recordings; infinite if none is known."""
        known = [r.bandwidth_hz for r in self.recordings if r.bandwidth_hz is not None]
        return min(known, default=math.inf) * self.speed


def speaker_of(recording: Recording) -> str:
    """Return the name of the speaker, or the path of a recording without a name."""
    return recording.speaker or str(recording.path)


class Speech:
    """Utterances by speaker; each one without a name counts as a speaker.

    A name means one person within a source; two sources may use it for two people.
    """

    def __init__(self, pool: Pool, store: DecodedAudioCache) -> None:
        parts = parts_of(pool)
        self.utterances = [Utterance(found, i) for i, part in enumerate(parts) for found in part.recordings]
        self.recordings = [utterance.recording for utterance in self.utterances]
        self._store = store
        self._by_speaker: dict[tuple[str, int], list[Recording]] = {}
        for utterance in self.utterances:
            self._by_speaker.setdefault(_speaker_key(utterance), []).append(utterance.recording)
        self._keys = sorted(self._by_speaker)
        self.speakers = [name for name, _ in self._keys]

    def draw(self, rng: np.random.Generator, first: Utterance, frames: int) -> Excerpt:
        """Draw `frames` samples of one speaker: a crop of `first`, or `first` and others with pauses between."""
        utterance = first
        for _ in range(TRIES):
            drawn = self._fill(rng, utterance, frames)
            if effects.decibels(effects.active_level(drawn.samples)) > SILENT_DB:
                return drawn
            utterance = self.utterances[rng.integers(len(self.utterances))]
        recording = utterance.recording
        samples = _loudest(self._store.open(recording), recording, frames, self._store.rate)
        return Excerpt(samples, (recording,))

    def whole(self, recording: Recording, longest: int) -> Excerpt:
        """Return an utterance from its start, up to `longest` samples."""
        clip = self._store.open(recording)
        samples = clip.read(0, min(clip.frames, longest))
        if effects.decibels(effects.active_level(samples)) <= SILENT_DB:
            raise AudioError(f"{recording.path}: is silent; scan the folder again")
        return Excerpt(samples, (recording,))

    def babble(
        self, rng: np.random.Generator, frames: int, gain_db: tuple[float, float], speaking: str
    ) -> Excerpt:
        """Draw four to eight speakers other than `speaking` at once, each with its own gain."""
        others = [key for key in self._keys if key[0] != speaking]
        count = min(int(rng.integers(BABBLERS[0], BABBLERS[1] + 1)), len(others))
        total = np.zeros(frames, np.float32)
        used: list[Recording] = []
        for i in rng.choice(len(others), count, replace=False):
            own = self._by_speaker[others[i]]
            drawn = self._fill(rng, Utterance(own[rng.integers(len(own))], others[i][1]), frames)
            gain = effects.amplitude(
                rng.uniform(*gain_db) - effects.decibels(effects.active_level(drawn.samples))
            )
            # Near silence is not amplified to the level of a speaker.
            total += drawn.samples * min(gain, effects.amplitude(-SILENT_DB))
            used.extend(drawn.recordings)
        return Excerpt(total, tuple(used))

    def _fill(self, rng: np.random.Generator, first: Utterance, frames: int) -> Excerpt:
        clip = self._store.open(first.recording)
        if clip.frames >= frames:
            start = int(rng.integers(clip.frames - frames + 1))
            return Excerpt(clip.read(start, frames), (first.recording,))
        return self._join(rng, first, clip, frames)

    def _join(self, rng: np.random.Generator, first: Utterance, clip: CachedClip, frames: int) -> Excerpt:
        rate = self._store.rate
        joined = np.zeros(frames, np.float32)
        position = int(rng.integers(min(round(_PAUSE[1] * rate), frames - clip.frames) + 1))
        samples = clip.read()
        reference = effects.decibels(effects.active_level(samples))
        used = [first.recording]
        own = self._by_speaker[_speaker_key(first)]
        while True:
            piece = effects.fade(samples[: frames - position], round(_JOIN * rate))
            joined[position : position + len(piece)] = piece
            position += len(samples) + round(rng.uniform(*_PAUSE) * rate)
            if position >= frames:
                return Excerpt(joined, tuple(used))
            used.append(own[rng.integers(len(own))])
            samples = self._store.open(used[-1]).read(0, frames - position)
            change = reference - effects.decibels(effects.active_level(samples))
            samples = samples * effects.amplitude(float(np.clip(change, -_MATCH_DB, _MATCH_DB)))


def _speaker_key(utterance: Utterance) -> tuple[str, int]:
    return speaker_of(utterance.recording), utterance.source


class Noises:
    """Recordings of noise, drawn uniformly within a source."""

    def __init__(self, pool: Pool, store: DecodedAudioCache) -> None:
        self._parts = parts_of(pool)
        self.recordings = [recording for part in self._parts for recording in part.recordings]
        self._store = store
        self._edges = np.cumsum(shares(self._parts)) if len(self._parts) > 1 else None

    def draw(self, rng: np.random.Generator, frames: int) -> Excerpt:
        """Draw a crop of `frames` samples of one recording, looped if it is shorter."""
        for _ in range(TRIES):
            recording = self._choose(rng)
            clip = self._store.open(recording)
            start = int(rng.integers(max(0, clip.frames - frames) + 1))
            samples = clip.read(start, frames)
            if effects.decibels(effects.level(samples)) > SILENT_DB:
                return Excerpt(self._lengthen(samples, frames), (recording,))
        samples = _loudest(clip, recording, frames, self._store.rate)
        return Excerpt(self._lengthen(samples, frames), (recording,))

    def _choose(self, rng: np.random.Generator) -> Recording:
        recordings = self.recordings
        if (
            self._edges is not None
        ):  # one source draws no random number, so that recorded runs stay reproducible
            recordings = list(self._parts[_position(self._edges, rng.random())].recordings)
        return recordings[rng.integers(len(recordings))]

    def _lengthen(self, samples: Samples, frames: int) -> Samples:
        if len(samples) >= frames:
            return samples
        return effects.loop(samples, frames, round(_OVERLAP * self._store.rate))


class Rooms:
    """Impulse responses, drawn within a source with a probability ∝ 1/seconds².

    Collections contain many large halls, while most speech is recorded in small rooms.
    """

    def __init__(self, pool: Pool, store: DecodedAudioCache) -> None:
        parts = parts_of(pool)
        self.recordings = [recording for part in parts for recording in part.recordings]
        self._store = store
        self._edges = np.zeros(0)
        if parts:
            chances = [np.array([1 / max(r.seconds, 0.1) ** 2 for r in part.recordings]) for part in parts]
            if len(parts) > 1:
                chances = [share * own / own.sum() for share, own in zip(shares(parts), chances, strict=True)]
            weights = np.concatenate(chances)
            self._edges = np.cumsum(weights) / weights.sum()

    def draw(self, rng: np.random.Generator) -> Excerpt:
        """Draw one channel of one response, `[n]`."""
        recording = self.recordings[_position(self._edges, rng.random())]
        response = self._store.response(recording, int(rng.integers(recording.channels)))
        if not np.abs(response).max(initial=0) > 0:
            raise AudioError(f"{recording.path}: this impulse response is silent")
        return Excerpt(response, (recording,))


def _position(edges: npt.NDArray[np.float64], point: float) -> int:
    """Return the interval between cumulative probabilities that contains a point of [0, 1)."""
    return min(int(np.searchsorted(edges, point, side="right")), len(edges) - 1)


def _loudest(clip: CachedClip, recording: Recording, frames: int, rate: int) -> Samples:
    """Return the `frames` samples with the most energy in the first minute."""
    samples = clip.read(0, min(clip.frames, max(frames, round(_LONGEST_SEARCH * rate))))
    if len(samples) > frames:
        energy = np.concatenate([[0.0], np.cumsum(np.square(samples, dtype=np.float64))])
        start = int(np.argmax(energy[frames:] - energy[:-frames]))
        samples = samples[start : start + frames]
    else:
        samples = np.pad(samples, (0, frames - len(samples)))
    if effects.decibels(effects.active_level(samples)) <= SILENT_DB:
        raise AudioError(
            f"{recording.path}: is silent, and so were {TRIES} draws before it; scan the folder again"
        )
    return samples
