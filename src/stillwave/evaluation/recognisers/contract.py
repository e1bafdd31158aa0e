"""The interface of a speech recogniser."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol, runtime_checkable

import numpy as np

from stillwave.audio import Samples, resample
from stillwave.errors import StillwaveError
from stillwave.schema import SAMPLE_RATE


class RecogniserError(StillwaveError):
    """A recogniser that cannot be used at all; the evaluation ends."""


class NoTranscriptError(StillwaveError):
    """A recogniser that failed on one recording, which has no transcript; the evaluation continues."""


class Recogniser(Protocol):
    """A speech recogniser. An object is used in one process, for one recording after another.

    A transcript must not depend on the previous recordings.
    """

    @property
    def name(self) -> str:
        """The name in reports."""
        ...

    @property
    def version(self) -> str:
        """The version of the package, of the weights, or both, as needed to reproduce transcripts. May be empty."""
        ...

    def transcribe(self, samples: Samples, rate: int) -> str:
        """Return the words in samples `[N]`, full scale ±1; an empty text if there are none.

        Raises RecogniserError if it cannot be used at all; any other exception concerns this recording only.
        """
        ...


@dataclass(frozen=True)
class Recognition:
    """A transcript with the recogniser's own confidence in it.

    Attributes:
        text: As `Recogniser.transcribe` returns it.
        log_probability: Mean of the natural logarithms of the probabilities of the tokens, at most 0; None without any.
        repetition: Greatest ratio of the length of a segment's text to its compressed length. Text that is repeated
            without end has 2.4 and more (Radford et al., "Robust speech recognition", 2022).

    """

    text: str
    log_probability: float | None
    repetition: float = 0.0


@runtime_checkable
class ConfidentRecogniser(Recogniser, Protocol):
    """A recogniser that states its confidence."""

    def recognise(self, samples: Samples, rate: int) -> Recognition:
        """As `transcribe`, with the confidence."""
        ...


def identity(recogniser: Recogniser) -> str:
    """Return name and version, as in reports."""
    return f"{recogniser.name} {recogniser.version}".strip()


def at_16_khz(samples: Samples, rate: int) -> Samples:
    """Return samples `[N]` at 16 kHz as float32. Raises NoTranscriptError for more than one channel."""
    if samples.ndim != 1:
        raise NoTranscriptError(f"has {samples.shape[0]} channels; mono is required")
    if rate != SAMPLE_RATE:
        samples = resample(samples, rate, SAMPLE_RATE)
    return np.ascontiguousarray(samples, dtype=np.float32)
