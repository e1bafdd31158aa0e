"""Metadata beside samples and plain tags: copied from WAV to WAV and from FLAC to FLAC.

What cannot be copied (another format; positions in samples at another sampling rate) is lost and reported by name.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from stillwave.audio.metadata import flac, id3, riff, vorbis

_WAV = ("WAV", "WAVEX", "RF64")


@dataclass(frozen=True)
class Extras:
    """The metadata of a recording of `format` (as named by libsndfile) and `rate` Hz, by `names`."""

    path: Path
    format: str
    rate: int
    names: tuple[str, ...]

    def same_kind(self, target_format: str) -> bool:
        """Return whether the metadata can be copied unchanged into a file of this format."""
        return (self.format in _WAV and target_format in _WAV) or self.format == target_format == "FLAC"


def inventory(path: Path, form: str, rate: int) -> Extras:
    """List the metadata of a recording; nothing for an unknown format."""
    looks = {
        "FLAC": flac.extras,
        "OGG": vorbis.extras,
        "MP3": id3.extras,
        "MPEG": id3.extras,
        "AIFF": riff.aiff_extras,
    }
    look = riff.extras if form in _WAV else looks.get(form)
    return Extras(path, form, rate, tuple(dict.fromkeys(look(path))) if look else ())


def carry(extras: Extras, target: Path, form: str, rate: int, mask: int | None) -> tuple[str, ...]:
    """Copy metadata into a finished file of `form` at `rate` Hz and return the names of what is lost.

    `mask` is the channel mask to write into FLAC: 0 for none, None for that of the source.
    """
    if not extras.same_kind(form):
        return extras.names
    if form == "FLAC":
        return tuple(flac.copy_extras(extras.path, target, extras.rate, rate, mask))
    return tuple(riff.copy_extras(extras.path, target, extras.rate, rate))
