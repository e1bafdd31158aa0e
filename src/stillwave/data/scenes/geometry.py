"""Draw rooms with positions of microphones and sources."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Any, Literal

import numpy as np
import numpy.typing as npt
from pydantic import Field, field_validator

from stillwave.data.scenes.ambisonics import about_z
from stillwave.errors import StillwaveError
from stillwave.schema import Frozen, Positive, Range

SPACING = 0.2
"""Metres from microphone A to microphone B, as in the L3DAS corpora."""


class SceneConfig(Frozen):
    """Ranges are drawn from uniformly. Lengths in metres, times in seconds."""

    length: Range = Range(low=3.0, high=9.0)
    width: Range = Range(low=3.0, high=7.0)
    height: Range = Range(low=2.4, high=3.6)
    rt60: Range = Range(low=0.15, high=0.5)
    distance: Range = Range(low=1.0, high=3.0)
    """From microphone A to the talker; noises have any position."""
    snr_db: Range = Range(low=-5.0, high=15.0)
    """Active level of the reverberant speech over the level of all noise, in channel W of microphone A."""
    level_dbfs: Range = Range(low=-33.0, high=-20.0)
    """RMS of channel W of microphone A."""
    noises: Annotated[int, Field(ge=1, le=3)] = 3
    """Largest number of noises; the number is drawn from 1 to this."""
    gain_db: Range = Range(low=-6.0, high=6.0)
    """Of each noise, before the sum is scaled to the drawn SNR."""
    max_seconds: Positive = 12.0
    """Longer utterances are not used."""
    convention: Literal["acn_sn3d", "fuma"] = "acn_sn3d"

    @field_validator("distance")
    @classmethod
    def _in_the_room(cls, bounds: Range) -> Range:
        if bounds.low < 0.9 or bounds.low > 2.0:
            raise ValueError(
                "the least distance must lie between 0.9 m and 2 m, as small rooms have no position farther away"
            )
        return bounds

    @field_validator("rt60")
    @classmethod
    def _a_room(cls, bounds: Range) -> Range:
        if bounds.low < 0.05:
            raise ValueError("the least RT60 of a room is 0.05 s")
        return bounds


Vector = npt.NDArray[Any]

_TO_WALL = 0.4
_MICROPHONE_TO_WALL = 0.8
_ANYWHERE = Range(low=0.7 + SPACING, high=1000.0)
"""Wavefronts of sources nearer than 0.7 m are curved, which the encoding ignores."""
_HEIGHTS = {"microphone": (1.0, 1.7), "speech": (1.0, 1.9), "noise": (0.2, 2.2)}


_TRIES = 1000


class RoomError(StillwaveError):
    """A property that a room cannot have."""


@dataclass(frozen=True)
class SceneGeometry:
    """Positions `[3]` in metres, from a corner of the room: along its length, its width, and up."""

    room: Vector
    microphone_a: Vector
    yaw: float
    """Radians, anticlockwise, from the room's length to straight ahead of both microphones."""
    speech: Vector
    noises: tuple[Vector, ...]

    @property
    def microphone_b(self) -> Vector:
        """Position to the left of A (its +y)."""
        return np.asarray(self.microphone_a + about_z(self.yaw) @ np.array([0.0, SPACING, 0.0]))

    @property
    def volume(self) -> float:
        """Volume in cubic metres."""
        return float(np.prod(self.room))

    def seen_from_a(self, position: Vector) -> Vector:
        """Return the unit vector from microphone A to a position, in the frame of the microphone."""
        away = about_z(-self.yaw) @ (position - self.microphone_a)
        return np.asarray(away / np.linalg.norm(away))


def draw_geometry(rng: np.random.Generator, config: SceneConfig) -> SceneGeometry:
    """Draw a room with two microphones, a talker and 1 to `config.noises` noises."""
    room = np.array([draw(rng, config.length), draw(rng, config.width), draw(rng, config.height)])
    microphone = _place(rng, room, _MICROPHONE_TO_WALL, *_HEIGHTS["microphone"])
    yaw = float(rng.uniform(-np.pi, np.pi))
    speech = _place_apart(rng, room, microphone, "speech", config.distance)
    count = int(rng.integers(1, config.noises + 1))
    noises = tuple(_place_apart(rng, room, microphone, "noise", _ANYWHERE) for _ in range(count))
    return SceneGeometry(room, microphone, yaw, speech, noises)


def draw(rng: np.random.Generator, interval: Range) -> float:
    """Draw a value from an interval."""
    return float(rng.uniform(interval.low, interval.high))


def _place(rng: np.random.Generator, room: Vector, to_wall: float, low: float, high: float) -> Vector:
    flat = rng.uniform(to_wall, room[:2] - to_wall)
    return np.array([*flat, rng.uniform(low, min(high, room[2] - _TO_WALL))])


def _place_apart(
    rng: np.random.Generator, room: Vector, microphone: Vector, what: str, distance: Range
) -> Vector:
    for _ in range(_TRIES):
        position = _place(rng, room, _TO_WALL, *_HEIGHTS[what])
        if distance.low <= np.linalg.norm(position - microphone) <= distance.high:
            return position
    raise RoomError(
        f"a room of {format_size(room)} m has no position {distance.low:g} to {distance.high:g} m from its microphone"
    )


def format_size(room: Vector) -> str:
    """Format the sides of a room for a message."""
    return " × ".join(f"{side:.1f}" for side in room)
