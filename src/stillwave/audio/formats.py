"""The file formats that can be written, and the sample format of each."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from stillwave.errors import AudioError, nearest

INTEGER_BITS = {"PCM_U8": 8, "PCM_S8": 8, "PCM_16": 16, "PCM_24": 24, "PCM_32": 32}
"""Sample formats that clip at full scale. Floats and lossy codecs store values beyond it."""


@dataclass(frozen=True)
class Format:
    """A container by libsndfile's name; the first subtype is the default."""

    name: str
    subtypes: tuple[str, ...]
    rates: tuple[int, ...] = ()
    """Supported rates in Hz; empty for any."""
    channels: int = 1024


_PCM = ("PCM_16", "PCM_24", "PCM_32", "FLOAT", "DOUBLE")
_AIFF = Format("AIFF", (*_PCM, "PCM_S8", "PCM_U8"))
_AU = Format("AU", (*_PCM, "PCM_S8"))
_NIST = Format("NIST", ("PCM_16", "PCM_24", "PCM_32", "PCM_S8"))
_MP3_RATES = (8_000, 11_025, 12_000, 16_000, 22_050, 24_000, 32_000, 44_100, 48_000)
_OPUS_RATES = (8_000, 12_000, 16_000, 24_000, 48_000)

FORMATS = {
    ".wav": Format("WAV", (*_PCM, "PCM_U8")),
    ".flac": Format("FLAC", ("PCM_16", "PCM_24", "PCM_S8"), channels=8),
    ".ogg": Format("OGG", ("VORBIS", "OPUS"), channels=255),
    ".oga": Format("OGG", ("VORBIS", "OPUS"), channels=255),
    ".opus": Format("OGG", ("OPUS",), rates=_OPUS_RATES, channels=255),
    ".mp3": Format("MP3", ("MPEG_LAYER_III",), rates=_MP3_RATES, channels=2),
    ".aiff": _AIFF,
    ".aif": _AIFF,
    ".aifc": _AIFF,
    ".au": _AU,
    ".snd": _AU,
    ".sph": _NIST,
    ".nist": _NIST,
    ".caf": Format("CAF", (*_PCM, "PCM_S8")),
    ".w64": Format("W64", (*_PCM, "PCM_U8")),
    ".rf64": Format("RF64", (*_PCM, "PCM_U8")),
}

# Alternatives, best first, to the sample format of a source. Eight-bit, companded and ADPCM sources get the default:
# their quantisation noise would undo part of the denoising.
_NEAREST = {
    "PCM_24": ("PCM_24",),
    "PCM_32": ("PCM_32", "PCM_24"),
    "FLOAT": ("FLOAT", "PCM_24"),
    "DOUBLE": ("DOUBLE", "FLOAT", "PCM_24"),
    "OPUS": ("OPUS",),
    "VORBIS": ("VORBIS",),
}


def format_of(path: Path | str) -> Format:
    """Return the format of a file name. Raises `AudioError` for a suffix that cannot be written."""
    suffix = Path(path).suffix.lower()
    if suffix not in FORMATS:
        raise AudioError(f"{path}: cannot write '{suffix or 'no suffix'}' files; {nearest(suffix, FORMATS)}")
    return FORMATS[suffix]


def subtype_for(path: Path | str, source: str | None = None) -> str:
    """Return the sample format for `path` that is nearest to that of a source, such as `PCM_24`.

    That of the source if the format supports it, else the next one without loss, else the default.

    Examples:
        >>> subtype_for("a.flac", "FLOAT"), subtype_for("a.wav", "PCM_U8"), subtype_for("a.ogg", "PCM_24")
        ('PCM_24', 'PCM_16', 'VORBIS')

    """
    allowed = format_of(path).subtypes
    return next((s for s in _NEAREST.get(source or "", ()) if s in allowed), allowed[0])


def nearest_rate(path: Path | str, subtype: str, rate: int) -> int:
    """Return the sampling rate to write at: `rate` if the format supports it, else the next higher, else the highest.

    Examples:
        >>> nearest_rate("a.opus", "OPUS", 44_100), nearest_rate("a.mp3", "MPEG_LAYER_III", 96_000)
        (48000, 48000)

    """
    rates = _OPUS_RATES if subtype == "OPUS" else format_of(path).rates
    if not rates or rate in rates:
        return rate
    return min((supported for supported in rates if supported > rate), default=max(rates))


def check_format(path: Path | str, subtype: str, rate: int, channels: int) -> Format:
    """Return the format of `path`. Raises `AudioError` if it cannot store samples of this kind."""
    form = format_of(path)
    if subtype not in form.subtypes:
        raise AudioError(f"{path}: {form.name} does not support {subtype}; {nearest(subtype, form.subtypes)}")
    if channels > form.channels:
        raise AudioError(f"{path}: {form.name} supports at most {form.channels} channels, not {channels}")
    rates = _OPUS_RATES if subtype == "OPUS" else form.rates
    if rates and rate not in rates:
        known = ", ".join(str(r) for r in rates)
        raise AudioError(f"{path}: {subtype} does not support {rate} Hz, only {known} Hz")
    return form
