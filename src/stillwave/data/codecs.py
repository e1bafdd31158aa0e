"""Lossy codecs as they damage a recording: encoded and decoded again in memory, aligned and of the same length.

Only codecs whose round trip libsndfile gives back without delay are here (mp3 at a constant bit rate and the
lowest Opus rates are not), since a shift between noisy and target would teach to shift.
"""

from __future__ import annotations

import io
from dataclasses import dataclass

import numpy as np
import soundfile

from stillwave.audio import Samples


@dataclass(frozen=True)
class Codec:
    """A format that libsndfile writes; `level` is its compression level, 1 the strongest."""

    name: str
    format: str
    subtype: str
    level: float | None = None


CODECS = (
    Codec("µ-law", "WAV", "ULAW"),
    Codec("A-law", "WAV", "ALAW"),
    Codec("IMA ADPCM", "WAV", "IMA_ADPCM"),
    Codec("GSM 6.10", "WAV", "GSM610"),
    Codec("Vorbis 28 kbit/s", "OGG", "VORBIS", 1.0),
    Codec("mp3 21 kbit/s", "MP3", "MPEG_LAYER_III", 0.8),
)
"""The rates are those of speech at 16 kHz."""


def through(codec: Codec, samples: Samples, rate: int) -> Samples:
    """`[N]`, full scale ±1, encoded and decoded. What is beyond full scale is clipped, as a file would be."""
    if not len(samples):
        return samples
    file = io.BytesIO()
    settings = {} if codec.level is None else {"compression_level": codec.level}
    soundfile.write(
        file, np.clip(samples, -1, 1), rate, format=codec.format, subtype=codec.subtype, **settings
    )
    file.seek(0)
    decoded, _ = soundfile.read(file, dtype="float32")
    return np.pad(decoded[: len(samples)], (0, max(0, len(samples) - len(decoded))))
