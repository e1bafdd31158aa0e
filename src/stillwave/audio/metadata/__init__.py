"""What recordings hold beside samples and plain tags: carried where source and target are both WAV or both FLAC.

Else, and where it holds for another sampling rate, it is lost, and its names are given so that a report can say so.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from stillwave.audio.metadata import flac, id3, iff, ogg, riff

_WAV = ("WAV", "WAVEX", "RF64")


@dataclass(frozen=True)
class Extras:
    """What a recording of `format` (as libsndfile names it) and `rate` holds; `names` of what may be lost."""

    path: Path
    format: str
    rate: int
    names: tuple[str, ...]

    def same_kind(self, target_format: str) -> bool:
        """Whether they can be copied into a file of this format as they are."""
        return (self.format in _WAV and target_format in _WAV) or self.format == target_format == "FLAC"


def inventory(path: Path, form: str, rate: int) -> Extras:
    """Look what a recording holds. A file that this cannot make sense of holds nothing."""
    looks = {
        "FLAC": flac.extras,
        "OGG": ogg.extras,
        "MP3": id3.extras,
        "MPEG": id3.extras,
        "AIFF": iff.extras,
    }
    look = riff.extras if form in _WAV else looks.get(form)
    return Extras(path, form, rate, tuple(dict.fromkeys(look(path))) if look else ())


def carry(extras: Extras, target: Path, form: str, rate: int, mask: int | None) -> tuple[str, ...]:
    """Copy what can be into a finished file of `form` at `rate` Hz; the names of what is lost.

    `mask`: the channel mask to state in FLAC, 0 for none, None for that of the source.
    """
    if not extras.same_kind(form):
        return extras.names
    if form == "FLAC":
        return tuple(flac.copy_extras(extras.path, target, extras.rate, rate, mask))
    return tuple(riff.copy_extras(extras.path, target, extras.rate, rate))
