"""What a recogniser is."""

from __future__ import annotations

from typing import Protocol

import numpy as np

from stillwave.audio import Samples, resample
from stillwave.errors import StillwaveError
from stillwave.schema import SAMPLE_RATE


class RecogniserError(StillwaveError):
    """A recogniser that cannot be used at all: it ends an evaluation."""


class NoTranscriptError(StillwaveError):
    """A recogniser failed on one recording: that recording has no transcript, the others go on."""


class Recogniser(Protocol):
    """Anything that hears words. One object serves one process, and hears recordings one after another.

    What it makes of a recording may not depend on what it heard before.
    """

    @property
    def name(self) -> str:
        """What reports call it."""
        ...

    @property
    def version(self) -> str:
        """Of the package, the weights, or both: what one has to have for the same transcripts. May be empty."""
        ...

    def transcribe(self, samples: Samples, rate: int) -> str:
        """The words in samples `[n]`, full scale ±1. Nothing heard is an empty text.

        Raises RecogniserError where it cannot be used; any other exception is the recording's own failure.
        """
        ...


def identity(recogniser: Recogniser) -> str:
    """Name and version, as reports show them."""
    return f"{recogniser.name} {recogniser.version}".strip()


def at_16_khz(samples: Samples, rate: int) -> Samples:
    """Samples `[n]` as all of these recognisers want them. Raises NoTranscriptError for more than one channel."""
    if samples.ndim != 1:
        raise NoTranscriptError(f"has {samples.shape[0]} channels, one is heard")
    if rate != SAMPLE_RATE:
        samples = resample(samples, rate, SAMPLE_RATE)
    return np.ascontiguousarray(samples, dtype=np.float32)
