"""Settings of a simulated corpus: the ranges that scenes are drawn from."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, field_validator

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
    def _in_the_room(cls, given: Range) -> Range:
        if given.low < 0.9 or given.low > 2.0:
            raise ValueError(
                "the least distance must lie between 0.9 m and 2 m, as small rooms have no position farther away"
            )
        return given

    @field_validator("rt60")
    @classmethod
    def _a_room(cls, given: Range) -> Range:
        if given.low < 0.05:
            raise ValueError("the least RT60 of a room is 0.05 s")
        return given
