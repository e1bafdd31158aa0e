"""Mix speech, noise and rooms into noisy and clean signals, as a pure function of (seed, epoch, index).

Steps, in this order:

1. *Speech*: a crop of an utterance; a short one is followed by others of the same speaker after short pauses. All
   utterances of a source are used before any is repeated (`pools.py`). `speed` resamples the speech.
2. *Room* (`reverberation`, if there are rooms): the noisy signal gets the whole response, the target only the direct
   sound and the first `early_ms`. Half a second before the crop is included for its reverberation. `equaliser` filters
   both alike.
3. *Noise*: 1 to `noises` recordings, each with its own gain and, with `noise_speed`, its own speed; with `babble`, the
   first of them is four to eight other speakers in the same room; with `synthetic_noise`, the last is synthetic.
   `equaliser` filters their sum with a curve of its own. The sum is scaled to the drawn SNR (`effects.snr_db`) relative
   to the reverberant speech; 40 to 60 dB with `clean`. With `noise_only` there is no speech and the target is silence.
   Noise above the bandwidth of the speech (`Recording.bandwidth_hz`) is removed first: the clean signal is not known
   there.
4. *Level*: both are scaled to the drawn level (RMS) of the noisy signal; `level_change` changes the level of both
   within the segment.
5. *Clipping*: the noisy signal only, 1 to 9 dB below its peak; the target stays unclipped.
6. *Band-limiting*: noisy signal *and* target, at a frequency within `band_limit_hz`. A mask cannot restore an empty
   band, so with a full-band target the loss would have a term that the network cannot reduce.
7. *Codec*: the noisy signal only, encoded and decoded (`effects.CODECS`).
8. *Peak*: if noisy signal or target exceeds 0.99, both are scaled by the same factor.

With `joined` a segment is the start of one such mixture and the end of another; with `silence` it is zeros. An effect
with a share of 0 draws no random numbers, so that recorded runs stay reproducible.
"""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np

from stillwave.audio import Samples
from stillwave.data import effects
from stillwave.data.decoded_cache import DecodedAudioCache
from stillwave.data.effects import CODECS, draw_curve, equalise, through
from stillwave.data.manifest import ManifestError, Recording
from stillwave.data.mixture import Mixture, MixtureRecord, happens, joined, silence
from stillwave.data.pools import Pool, SamplingOrder, Utterance, parts_of
from stillwave.data.sampling import BABBLERS, Excerpt, Noises, Rooms, Speech, speaker_of
from stillwave.data.synthetic_noise import draw_synthetic
from stillwave.schema import MixingConfig

LONGEST = 15.0
"""Longest mixture of a whole utterance, in seconds."""

_BEFORE = 0.5
"""Seconds of speech before the crop that contribute reverberation to it."""
_CLEAN_SNR_DB = (40.0, 60.0)
_CHANGE_SECONDS = (0.02, 1.0)
_CLIPPED_DB = (1.0, 9.0)


class Mixer:
    """Mixtures of speech, noise and optional rooms, each a list of recordings or of `WeightedPool`s.

    `segment_seconds` is the length of every mixture; None makes each as long as its utterance (15 s at most). Raises
    ManifestError for an empty list, and for babble with fewer than five speakers.
    """

    def __init__(
        self,
        speech: Pool,
        noise: Pool,
        rooms: Pool = (),
        config: MixingConfig | None = None,
        segment_seconds: float | None = 2.0,
        seed: int = 0,
        store: DecodedAudioCache | None = None,
    ) -> None:
        self.config = config or MixingConfig()
        self.seed = seed
        self.store = store or DecodedAudioCache()
        self.frames = None if segment_seconds is None else round(segment_seconds * self.store.rate)
        self.speech = Speech(speech, self.store)
        self.noise = Noises(noise, self.store)
        self.rooms = Rooms(rooms, self.store)
        self._order = SamplingOrder(parts_of(speech), seed)
        self._check()

    def __len__(self) -> int:
        """Return the number of utterances."""
        return len(self.speech.recordings)

    def __call__(self, epoch: int, index: int) -> Mixture:
        """Return mixture `index` (≥ 0, unlimited) of an epoch. Raises AudioError for an unusable recording."""
        rng = np.random.default_rng([self.seed, epoch, index])
        first = self._order(epoch, index)
        if self.frames is not None and happens(rng, self.config.silence):
            return silence(self.frames)
        mixture = self._mixture(rng, first)
        if self.frames is not None and happens(rng, self.config.joined):
            other = self.speech.utterances[rng.integers(len(self))]
            return joined(rng, mixture, self._mixture(rng, other), self.store.rate)
        return mixture

    def _mixture(self, rng: np.random.Generator, first: Utterance) -> Mixture:
        """Return a mixture whose speech starts with `first`."""
        config = self.config
        room = self.rooms.draw(rng) if self.rooms.recordings and rng.random() < config.reverberation else None
        names = ["reverberation"] * bool(room)
        speech, before = self._draw_speech(rng, first, room, names)
        reverberant, clean = self._in_room(speech.samples, room, before)
        if happens(rng, config.equaliser):
            curve = draw_curve(rng, config.equaliser_db)
            both = equalise(
                clean[None] if reverberant is clean else np.stack([reverberant, clean]),
                curve,
                self.store.rate,
            )
            reverberant, clean = both[0], both[-1]
            names.append("equaliser")
        noise, used = self._noise(rng, len(clean), speaker_of(speech.recordings[0]), room, names)
        snr_db = rng.uniform(config.snr_db.low, config.snr_db.high)
        if happens(rng, config.clean):
            snr_db = rng.uniform(*_CLEAN_SNR_DB)
        has_speech = not (self.frames is not None and happens(rng, config.noise_only))
        if has_speech and speech.bandwidth_hz < self.store.rate / 2:
            noise = effects.band_limit(noise, speech.bandwidth_hz, self.store.rate)
        noise = effects.at_snr(reverberant, noise, snr_db)
        noisy, clean = (reverberant + noise, clean) if has_speech else (noise, np.zeros_like(clean))
        if happens(rng, config.level_change):
            noisy, clean = self._change_level(rng, noisy, clean)
            names.append("level change")
        gain = effects.amplitude(
            rng.uniform(config.level_dbfs.low, config.level_dbfs.high)
            - effects.decibels(effects.level(noisy))
        )
        noisy, clean, degraded = self._degrade(rng, noisy * gain, clean * gain)
        noisy, clean = _below_peak(noisy, clean)
        facts = MixtureRecord(
            snr_db=snr_db if has_speech else -np.inf,
            level_dbfs=effects.decibels(effects.level(noisy)),
            speaker=speech.recordings[0].speaker if has_speech else "",
            speech=tuple(str(recording.path) for recording in speech.recordings) if has_speech else (),
            noises=tuple(source for source, _ in used),
            noise_classes=tuple(dict.fromkeys(name for _, name in used if name)),
            room=str(room.recordings[0].path) if room else None,
            effects=(*names, *degraded),
            text=speech.recordings[0].text if self.frames is None else "",
        )
        return Mixture(noisy, clean, facts)

    def _draw_speech(
        self, rng: np.random.Generator, first: Utterance, room: Excerpt | None, names: list[str]
    ) -> tuple[Excerpt, int]:
        factor = 1.0
        if happens(rng, self.config.speed):
            factor = float(rng.uniform(self.config.speed_range.low, self.config.speed_range.high))
            names.append(f"speed {factor:.2f}")
        if self.frames is None:
            drawn, before = self.speech.whole(first.recording, round(LONGEST * factor * self.store.rate)), 0
        else:
            before = min(round(_BEFORE * self.store.rate), len(room.samples)) if room else 0
            drawn = self.speech.draw(rng, first, math.ceil((self.frames + before) * factor))
        if factor == 1:
            return drawn, before
        samples = effects.change_speed(drawn.samples, factor)
        if self.frames is not None:
            samples = samples[: self.frames + before]
            samples = np.pad(samples, (0, self.frames + before - len(samples)))
        return replace(drawn, samples=samples, speed=factor), before

    def _change_level(
        self, rng: np.random.Generator, noisy: Samples, clean: Samples
    ) -> tuple[Samples, Samples]:
        change = rng.uniform(-self.config.level_change_db, self.config.level_change_db)
        frames, width = len(noisy), rng.uniform(*_CHANGE_SECONDS) * self.store.rate
        curve = effects.level_curve(frames, 0.0, change, rng.uniform(0.2, 0.8) * frames, width)
        return noisy * curve, clean * curve

    def _in_room(self, samples: Samples, room: Excerpt | None, before: int) -> tuple[Samples, Samples]:
        if room is None:
            return samples, samples
        reverberant, target = effects.reverberate(
            samples, room.samples, self.store.rate, self.config.early_ms
        )
        return reverberant[before:], target[before:]

    def _noise(
        self, rng: np.random.Generator, frames: int, speaker: str, room: Excerpt | None, names: list[str]
    ) -> tuple[Samples, list[tuple[str, str]]]:
        """Return the sum of all noises `[frames]`, and the source and class of each."""
        config = self.config
        gains = (config.gain_db.low, config.gain_db.high)
        babbles = bool(rng.random() < config.babble)
        names += ["babble"] * babbles
        computes = happens(rng, config.synthetic_noise)
        total = np.zeros(frames, np.float32)
        used: list[tuple[str, str]] = []
        count = int(rng.integers(1, config.noises + 1))
        for i in range(count):
            if babbles and i == 0:
                drawn = self.speech.babble(rng, frames, gains, speaker)
                samples = effects.convolve(drawn.samples, room.samples) if room else drawn.samples
                used.extend((str(recording.path), "babble") for recording in drawn.recordings)
            elif computes and i == count - 1:
                samples, kind = draw_synthetic(rng, frames, self.store.rate)
                used.append((kind, kind))
            else:
                samples, recording = self._recorded(rng, frames, names)
                used.append((str(recording.path), recording.label))
            gain = effects.amplitude(rng.uniform(*gains) - effects.decibels(effects.level(samples)))
            total += samples * gain
        if happens(rng, config.equaliser):
            total = equalise(total, draw_curve(rng, config.equaliser_db), self.store.rate)
            names.append("equalised noise")
        return total, used

    def _recorded(self, rng: np.random.Generator, frames: int, names: list[str]) -> tuple[Samples, Recording]:
        """Return a crop `[frames]` of a noise recording."""
        if not happens(rng, self.config.noise_speed):
            drawn = self.noise.draw(rng, frames)
            return drawn.samples, drawn.recordings[0]
        factor = float(rng.uniform(self.config.noise_speed_range.low, self.config.noise_speed_range.high))
        names.append(f"noise speed {factor:.2f}")
        drawn = self.noise.draw(rng, math.ceil(frames * factor) + 1)
        return effects.change_speed(drawn.samples, factor)[:frames], drawn.recordings[0]

    def _degrade(
        self, rng: np.random.Generator, noisy: Samples, clean: Samples
    ) -> tuple[Samples, Samples, tuple[str, ...]]:
        names: list[str] = []
        if rng.random() < self.config.clipping:
            down = rng.uniform(*_CLIPPED_DB)
            noisy = effects.clip(noisy, float(np.abs(noisy).max()) * float(effects.amplitude(-down)))
            names.append(f"clipping {down:.1f} dB")
        if rng.random() < self.config.band_limit:
            edge = float(rng.uniform(self.config.band_limit_hz.low, self.config.band_limit_hz.high))
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
            raise ManifestError("speech: has no recordings to mix")
        if not self.noise.recordings:
            raise ManifestError("noise: has no recordings to mix")
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
