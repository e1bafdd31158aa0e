"""Simulate a scene: a talker and noises in a room with two ambisonic microphones, and the clean reference.

A scene is a pure function of (seed, index). Steps, in this order:

1. *Sources*: an utterance (all are used before any is repeated), one to three noises, their positions, the room.
2. *Rooms* (`rooms.py`): every source through its own responses. The target is the direct sound in channel W of
   microphone A: the samples of the utterance, unshifted. Noise starts before the clip, so that its reverberation is
   complete from the start.
3. *SNR*: active level of the reverberant speech over the level of all noise, both in W of A (`effects.snr_db`).
4. *Level*: one factor scales all signals so that W of A has the drawn level, or less if a channel would exceed
   0.99.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from stillwave.audio import Samples
from stillwave.data import effects
from stillwave.data.decoded_cache import DecodedAudioCache
from stillwave.data.manifest import ManifestError, Recording
from stillwave.data.sampling import Noises, Speech
from stillwave.data.scenes import rooms
from stillwave.data.scenes.ambisonics import convert
from stillwave.data.scenes.geometry import RoomError, SceneConfig, SceneGeometry, Vector, draw, draw_geometry
from stillwave.errors import AudioError
from stillwave.schema import SAMPLE_RATE

_TRIES = 50


@dataclass(frozen=True)
class Scene:
    """A simulated scene, full scale ±1, peaks up to 0.99."""

    noisy: Samples
    """`[8, N]`: four channels of microphone A, then of B, in the wanted convention."""
    clean: Samples
    """`[N]`: the direct sound of the speech in W of microphone A."""
    speech: Recording
    facts: dict[str, Any]
    """Its parameters, as JSON values."""


class Simulator:
    """An infinite sequence of scenes. Raises ManifestError for no short enough utterance, or no noise."""

    def __init__(
        self,
        speech: Sequence[Recording],
        noise: Sequence[Recording],
        config: SceneConfig | None = None,
        seed: int = 0,
        store: DecodedAudioCache | None = None,
    ) -> None:
        self.config = config or SceneConfig()
        self.seed = seed
        self.store = store or DecodedAudioCache()
        fitting = [recording for recording in speech if recording.seconds <= self.config.max_seconds]
        if not fitting:
            raise ManifestError(
                f"none of {len(speech)} utterances is at most {self.config.max_seconds:g} s long; raise --max-seconds"
            )
        if not noise:
            raise ManifestError("there are no recordings of noise; name some with --noise")
        self.too_long = len(speech) - len(fitting)
        self.speech = Speech(fitting, self.store)
        self.noise = Noises(noise, self.store)

    def __call__(self, index: int) -> Scene:
        """Return scene `index` (≥ 0). Raises AudioError for an unusable recording."""
        rng = np.random.default_rng([self.seed, index])
        recording = self._utterance(index)
        dry = self._dry(recording)
        layout, rt60, found, beta = self._room(rng)
        taps = rooms.LEAD + round(rt60 * SAMPLE_RATE)
        reverberant = _pass(dry, rooms.responses(found, layout, beta, taps))
        noise, used = self._noise(rng, layout, rt60, beta, len(dry))
        snr_db = draw(rng, self.config.snr_db)
        noise *= effects.amplitude(effects.snr_db(reverberant[0], noise[0]) - snr_db)
        noisy = reverberant + noise
        gain = self._gain(draw(rng, self.config.level_dbfs), noisy, dry)
        return Scene(
            noisy=convert(noisy * gain, "acn_sn3d", self.config.convention),
            clean=dry * gain,
            speech=recording,
            facts={
                "speech": str(recording.path),
                "speaker": recording.speaker,
                "text": recording.text,
                "seconds": round(len(dry) / SAMPLE_RATE, 4),
                "snr_db": round(snr_db, 3),
                "rt60": round(rt60, 4),
                "absorption": round(1 - beta**2, 4),
                "convention": self.config.convention,
                **_places(layout),
                "noises": [str(recording.path) for recording in used],
            },
        )

    def _utterance(self, index: int) -> Recording:
        """Return the utterance of a scene; each pass has a new order."""
        turn, place = divmod(index, len(self.speech.recordings))
        order = np.random.default_rng([self.seed, turn, 2**31]).permutation(len(self.speech.recordings))
        return self.speech.recordings[int(order[place])]

    def _dry(self, recording: Recording) -> Samples:
        return self.speech.whole(recording, round(self.config.max_seconds * SAMPLE_RATE)).samples

    def _room(self, rng: np.random.Generator) -> tuple[SceneGeometry, float, rooms.Arrivals, float]:
        """Draw a room that can have the drawn reverberation time."""
        for _ in range(_TRIES):
            try:
                layout = draw_geometry(rng, self.config)
                rt60 = draw(rng, self.config.rt60)
                found = rooms.arrivals(layout, layout.speech, rt60, rng)
                return layout, rt60, found, rooms.reflectivity(found, layout, rt60)
            except RoomError as error:
                last = error
        raise RoomError(f"{last}; none of {_TRIES} rooms is possible: change --rt60 or --distance")

    def _noise(
        self, rng: np.random.Generator, layout: SceneGeometry, rt60: float, beta: float, frames: int
    ) -> tuple[Samples, list[Recording]]:
        """Return the sum of all noises, `[8, frames]`, at any level and never silent."""
        taps = rooms.LEAD + round(rt60 * SAMPLE_RATE)
        total = np.zeros((8, frames), np.float32)
        used: list[Recording] = []
        for position in layout.noises:
            drawn = self.noise.draw(rng, frames + taps)
            reverberant = self._noise_at(rng, layout, position, rt60, beta, drawn.samples)[:, taps:]
            power = effects.level(reverberant[0])
            if power > 0:  # all of a noise may lie before the clip
                total += reverberant * effects.amplitude(
                    draw(rng, self.config.gain_db) - effects.decibels(power)
                )
                used.extend(drawn.recordings)
        if not used:
            raise AudioError(
                f"{drawn.recordings[0].path}: the part that was drawn is silent; scan the folder again"
            )
        return total, used

    def _noise_at(
        self,
        rng: np.random.Generator,
        layout: SceneGeometry,
        place: Vector,
        rt60: float,
        beta: float,
        dry: Samples,
    ) -> Samples:
        found = rooms.arrivals(layout, place, rt60, rng)
        return _pass(dry, rooms.responses(found, layout, beta, rooms.LEAD + round(rt60 * SAMPLE_RATE)))

    def _gain(self, level_dbfs: float, noisy: Samples, dry: Samples) -> np.float32:
        gain = effects.amplitude(level_dbfs - effects.decibels(effects.level(noisy[0])))
        peak = max(float(np.abs(noisy).max()), float(np.abs(dry).max())) * 2**0.5  # FuMa → SN3D raises W
        return np.float32(min(float(gain), effects.PEAK / peak))


def _pass(dry: Samples, responses: Samples) -> Samples:
    """Convolve `[N]` with `[8, taps]`; return `[8, N]`, aligned with the direct sound at A."""
    from scipy.signal import oaconvolve

    whole = oaconvolve(dry[None], responses, axes=1)
    reverberant: Samples = whole[:, rooms.LEAD : rooms.LEAD + len(dry)].astype(np.float32, copy=False)
    return reverberant


def _places(layout: SceneGeometry) -> dict[str, Any]:
    away = layout.seen_from_a(layout.speech)
    return {
        "room": _rounded(layout.room),
        "microphone_a": _rounded(layout.microphone_a),
        "microphone_b": _rounded(layout.microphone_b),
        "yaw": round(layout.yaw, 5),
        "speech_position": _rounded(layout.speech),
        "direction": _rounded(away),
        "distance": round(float(np.linalg.norm(layout.speech - layout.microphone_a)), 4),
        "noise_positions": [_rounded(noise) for noise in layout.noises],
    }


def _rounded(vector: Vector) -> list[float]:
    return [round(float(value), 5) for value in vector]
