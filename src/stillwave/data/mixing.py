"""Mixing on the fly: speech, noise and rooms in, noisy and clean out, as a pure function of (seed, epoch,
index).

The path of a mixture, in this order:

1. *Speech*: a crop of an utterance; a short one is followed by others of the same speaker after short
   pauses. Every utterance comes up once before any of its source comes up again (`pools.py`).
2. *Room* (`reverberation`, where there are rooms): the noisy part gets the whole response, the target only
   the direct sound and the first `early_ms`. Half a second before the crop is played too, so that its tail
   is there.
3. *Noise*: 1 to `noises` recordings with gains of their own; with `babble`, the first of them is four to
   eight other speakers, who are in the same room. Their sum is set to the drawn SNR (`effects.snr_db`)
   against the speech as it is heard, with its reverberation.
4. *Level*: both are scaled until the noisy signal has the drawn level (RMS).
5. *Clipping*: the noisy signal alone, 1 to 9 dB below its peak. What was cut off can be learnt from what is
   around it, and a clipped target would teach to clip.
6. *Band-limiting*: noisy *and* target, at 3 to 7.5 kHz. A mask cannot bring back a band in which there is
   nothing, so a full-band target would only punish the student for what it cannot do; limited in both, it
   learns to leave an empty band empty, as it must with telephone and old-codec recordings.
7. *Codec*: the noisy signal alone, encoded and decoded (`codecs.py`).
8. *Peak*: if noisy or target passes 0.99, both are turned down by the same factor. Nothing else is clipped.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from stillwave.data import effects
from stillwave.data.codecs import CODECS, through
from stillwave.data.draw import BABBLERS, Draw, Noises, Rooms, Speech, speaker_of
from stillwave.data.effects import Samples
from stillwave.data.manifest import ManifestError, Recording
from stillwave.data.pools import Order, Pool, parts_of
from stillwave.data.store import Store
from stillwave.schema import MixingConfig

LONGEST = 15.0
"""Seconds of a mixture of a whole utterance, at most."""

_BEFORE = 0.5
"""Seconds of speech before the crop whose reverberation is heard in it."""
_CLIPPED_DB = (1.0, 9.0)
_BAND_EDGES = (3000.0, 7500.0)


@dataclass(frozen=True)
class Facts:
    """How a mixture came about."""

    snr_db: float
    """Of the speech as heard over all noise, before clipping and band-limiting."""
    level_dbfs: float
    """RMS of the noisy signal, as it is."""
    speaker: str
    speech: tuple[str, ...]
    noises: tuple[str, ...]
    room: str | None
    effects: tuple[str, ...]
    text: str = ""
    """What is said, where one whole utterance is heard."""


@dataclass(frozen=True)
class Mixture:
    """Noisy and clean, `[N]` each, float32, sample-aligned; neither passes 0.99."""

    noisy: Samples
    clean: Samples
    facts: Facts


class Mixer:
    """Mixtures of speech and noise, in rooms where there are any. Each is a list of recordings, or of `Part`s.

    `segment_seconds` is the length of every mixture; None makes each as long as its utterance (15 s at most).
    Raises ManifestError for a list that is empty, and where babble is asked for and there are not five
    speakers.
    """

    def __init__(
        self,
        speech: Pool,
        noise: Pool,
        rooms: Pool = (),
        config: MixingConfig | None = None,
        segment_seconds: float | None = 2.0,
        seed: int = 0,
        store: Store | None = None,
    ) -> None:
        self.config = config or MixingConfig()
        self.seed = seed
        self.store = store or Store()
        self.frames = None if segment_seconds is None else round(segment_seconds * self.store.rate)
        self.speech = Speech(speech, self.store)
        self.noise = Noises(noise, self.store)
        self.rooms = Rooms(rooms, self.store)
        self._order = Order(parts_of(speech), seed)
        self._check()

    def __len__(self) -> int:
        """Number of utterances."""
        return len(self.speech.recordings)

    def __call__(self, epoch: int, index: int) -> Mixture:
        """Mixture `index` (≥ 0, without end) of an epoch. Raises AudioError for a recording that is not
        usable.
        """
        rng = np.random.default_rng([self.seed, epoch, index])
        config = self.config
        room = self.rooms.draw(rng) if self.rooms.recordings and rng.random() < config.reverberation else None
        speech, before = self._draw_speech(rng, self._order(epoch, index), room)
        heard, clean = self._in_room(speech.samples, room, before)
        noise, used, babbles = self._noise(rng, len(clean), speaker_of(speech.recordings[0]), room)
        snr_db = rng.uniform(config.snr_db.low, config.snr_db.high)
        noisy = heard + effects.at_snr(heard, noise, snr_db)
        gain = effects.amplitude(
            rng.uniform(config.level_dbfs.low, config.level_dbfs.high)
            - effects.decibels(effects.level(noisy))
        )
        noisy, clean, names = self._degrade(rng, noisy * gain, clean * gain)
        noisy, clean = _below_peak(noisy, clean)
        facts = Facts(
            snr_db=snr_db,
            level_dbfs=effects.decibels(effects.level(noisy)),
            speaker=speech.recordings[0].speaker,
            speech=tuple(str(recording.path) for recording in speech.recordings),
            noises=tuple(str(recording.path) for recording in used),
            room=str(room.recordings[0].path) if room else None,
            effects=("reverberation",) * bool(room) + ("babble",) * babbles + names,
            text=speech.recordings[0].text if self.frames is None else "",
        )
        return Mixture(noisy, clean, facts)

    def _draw_speech(
        self, rng: np.random.Generator, recording: Recording, room: Draw | None
    ) -> tuple[Draw, int]:
        if self.frames is None:
            return self.speech.whole(recording, round(LONGEST * self.store.rate)), 0
        before = min(round(_BEFORE * self.store.rate), len(room.samples)) if room else 0
        return self.speech.draw(rng, recording, self.frames + before), before

    def _in_room(self, samples: Samples, room: Draw | None, before: int) -> tuple[Samples, Samples]:
        if room is None:
            return samples, samples
        heard, target = effects.reverberate(samples, room.samples, self.store.rate, self.config.early_ms)
        return heard[before:], target[before:]

    def _noise(
        self, rng: np.random.Generator, frames: int, speaker: str, room: Draw | None
    ) -> tuple[Samples, list[Recording], bool]:
        config = self.config
        gains = (config.gain_db.low, config.gain_db.high)
        babbles = bool(rng.random() < config.babble)
        total = np.zeros(frames, np.float32)
        used: list[Recording] = []
        for i in range(int(rng.integers(1, config.noises + 1))):
            if babbles and i == 0:
                drawn = self.speech.babble(rng, frames, gains, speaker)
                samples = effects.convolve(drawn.samples, room.samples) if room else drawn.samples
            else:
                drawn = self.noise.draw(rng, frames)
                samples = drawn.samples
            gain = effects.amplitude(rng.uniform(*gains) - effects.decibels(effects.level(samples)))
            total += samples * gain
            used.extend(drawn.recordings)
        return total, used, babbles

    def _degrade(
        self, rng: np.random.Generator, noisy: Samples, clean: Samples
    ) -> tuple[Samples, Samples, tuple[str, ...]]:
        names: list[str] = []
        if rng.random() < self.config.clipping:
            down = rng.uniform(*_CLIPPED_DB)
            noisy = effects.clip(noisy, float(np.abs(noisy).max()) * float(effects.amplitude(-down)))
            names.append(f"clipping {down:.1f} dB")
        if rng.random() < self.config.band_limit:
            edge = float(rng.uniform(*_BAND_EDGES))
            noisy = effects.band_limit(noisy, edge, self.store.rate)
            clean = effects.band_limit(clean, edge, self.store.rate)
            names.append(f"band limit {edge:.0f} Hz")
        if rng.random() < self.config.codec:
            codec = CODECS[int(rng.integers(len(CODECS)))]
            noisy = through(codec, noisy, self.store.rate)
            names.append(codec.name)
        return noisy, clean, tuple(names)

    def _check(self) -> None:
        if not self.speech.recordings:
            raise ManifestError("speech: there are no recordings to mix")
        if not self.noise.recordings:
            raise ManifestError("noise: there are no recordings to mix")
        if self.frames is not None and self.frames < effects.FRAME:
            raise ManifestError(f"segment_seconds: a mixture of {self.frames} samples is too short to mix")
        speakers = len(self.speech.speakers)
        if self.config.babble > 0 and speakers <= BABBLERS[0]:
            raise ManifestError(
                f"babble needs {BABBLERS[0] + 1} speakers or more, and the speech has {speakers}: "
                "set data.mixing.babble to 0 or give more speakers"
            )


def _below_peak(noisy: Samples, clean: Samples) -> tuple[Samples, Samples]:
    peak = max(float(np.abs(noisy).max()), float(np.abs(clean).max()))
    if peak <= effects.PEAK:
        return noisy, clean
    down = np.float32(effects.PEAK / peak)
    return noisy * down, clean * down
