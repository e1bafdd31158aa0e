"""What a simulated corpus is like: the ranges that scenes are drawn from."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, field_validator

from stillwave.schema import Frozen, Positive, Range

SPACING = 0.2
"""Metres from microphone A to microphone B, as in the L3DAS corpora."""


class SceneConfig(Frozen):
    """Every range is drawn from uniformly. Lengths in metres, times in seconds."""

    length: Range = Range(low=3.0, high=9.0)
    width: Range = Range(low=3.0, high=7.0)
    height: Range = Range(low=2.4, high=3.6)
    rt60: Range = Range(low=0.15, high=0.5)
    distance: Range = Range(low=1.0, high=3.0)
    """From microphone A to the talker; noises are anywhere."""
    snr_db: Range = Range(low=-5.0, high=15.0)
    """Active level of the speech, as it is heard, over the level of all noise, both in channel W of microphone A."""
    level_dbfs: Range = Range(low=-33.0, high=-20.0)
    """RMS of channel W of microphone A."""
    noises: Annotated[int, Field(ge=1, le=3)] = 3
    """At most so many; their number is drawn from 1 to this."""
    gain_db: Range = Range(low=-6.0, high=6.0)
    """Of each noise against the others, before the sum is set to the drawn SNR."""
    max_seconds: Positive = 12.0
    """Longer utterances are not used."""
    convention: Literal["acn_sn3d", "fuma"] = "acn_sn3d"

    @field_validator("distance")
    @classmethod
    def _in_the_room(cls, given: Range) -> Range:
        if given.low < 0.9 or given.low > 2.0:
            raise ValueError(
                "talkers nearer than 0.9 m are too near, and small rooms have no place farther than 2 m"
            )
        return given

    @field_validator("rt60")
    @classmethod
    def _a_room(cls, given: Range) -> Range:
        if given.low < 0.05:
            raise ValueError("an RT60 below 0.05 s is no room's")
        return given
