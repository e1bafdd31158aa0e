"""Bit rate of a lossy source, and encoder settings for an output of at least that bit rate."""

from __future__ import annotations

from pathlib import Path

from stillwave.audio.metadata import id3

_LOSSLESS = ("PCM_", "FLOAT", "DOUBLE", "ALAC", "ULAW", "ALAW")
_MPEG_1 = (32, 40, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320)
_MPEG_2 = (8, 16, 24, 32, 40, 48, 56, 64, 80, 96, 112, 128, 144, 160)
_MPEG_25 = (8, 16, 24, 32, 40, 48, 56, 64)
_OVERHEAD = 0.08
"""Seconds of the frames that an encoder adds before the first and after the last sample."""
_LENGTH_TAG = 156
"""Bytes."""
_OPUS_USUAL, _OPUS_LEAST, _OPUS_MOST = 64, 6, 256
"""kbit/s per channel: the default of libsndfile, and its compression levels 1 and 0."""


def of_source(path: Path, subtype: str, seconds: float) -> float | None:
    """Return the average kbit/s of a lossy recording without its tags; None for lossless ones and unknown durations."""
    if subtype.startswith(_LOSSLESS) or "ADPCM" in subtype or not seconds:
        return None
    with path.open("rb") as handle:
        tags = id3.size(handle)
        size = handle.seek(0, 2) - tags
    return size * 8 / 1000 / (seconds + _OVERHEAD)


def _least_mp3(rate: int, channels: int) -> float:
    """Return the least constant kbit/s at which a frame has room for LAME's tag with the exact length."""
    first = rate >= 32_000
    side = (32 if channels > 1 else 17) if first else (17 if channels > 1 else 9)
    return (4 + side + _LENGTH_TAG) * rate / (144_000 if first else 72_000)


def settings(subtype: str, rate: int, channels: int, at_least: float | None) -> dict[str, float | str]:
    """Return keyword arguments of `soundfile.SoundFile` for an output of at least `at_least` kbit/s.

    Empty (the default of libsndfile) for lossless sources and for Vorbis, which has a quality instead of a bit rate.
    """
    if at_least is None:
        return {}
    if subtype == "MPEG_LAYER_III":
        steps = _MPEG_1 if rate >= 32_000 else _MPEG_2 if rate >= 16_000 else _MPEG_25
        least = max(at_least, _least_mp3(rate, channels))
        chosen = next((step for step in steps if step >= least), steps[-1])
        return {
            "bitrate_mode": "CONSTANT",
            "compression_level": (steps[-1] - chosen) / (steps[-1] - steps[0]),
        }
    if subtype == "OPUS" and at_least / channels > _OPUS_USUAL:
        share = (at_least / channels - _OPUS_LEAST) / (_OPUS_MOST - _OPUS_LEAST)
        return {"compression_level": max(0.0, 1 - share)}
    return {}
