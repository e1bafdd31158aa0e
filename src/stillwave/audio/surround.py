"""Channel layouts of surround sound, whose order differs between WAV, FLAC and Ogg (Vorbis and Opus).

libsndfile reads and writes channels in the stored order. Channels without a layout are never reordered: they may be
those of a microphone array.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

from stillwave.audio.ffmpeg.kinds import MEDIA_FORMATS
from stillwave.audio.formats import format_of
from stillwave.audio.metadata import flac, riff, vorbis
from stillwave.audio.reading import AudioInfo
from stillwave.errors import AudioError

SPEAKERS = (
    "FL", "FR", "FC", "LFE", "BL", "BR", "FLC", "FRC", "BC", "SL", "SR",
    "TC", "TFL", "TFC", "TFR", "TBL", "TBC", "TBR",
)  # fmt: skip
"""Bits 0, 1, … of the channel mask of WAVE_FORMAT_EXTENSIBLE, and the channel order of WAV files."""

_OGG = {
    3: ("FL", "FC", "FR"),
    4: ("FL", "FR", "BL", "BR"),
    5: ("FL", "FC", "FR", "BL", "BR"),
    6: ("FL", "FC", "FR", "BL", "BR", "LFE"),
    7: ("FL", "FC", "FR", "SL", "SR", "BC", "LFE"),
    8: ("FL", "FC", "FR", "SL", "SR", "BL", "BR", "LFE"),
}
"""Vorbis I specification, section 4.3.9; RFC 7845, section 5.1.1.2 (mapping family 1), is the same."""

_FLAC = {
    3: ("FL", "FR", "FC"),
    4: ("FL", "FR", "BL", "BR"),
    5: ("FL", "FR", "FC", "BL", "BR"),
    6: ("FL", "FR", "FC", "LFE", "BL", "BR"),
    7: ("FL", "FR", "FC", "LFE", "BC", "SL", "SR"),
    8: ("FL", "FR", "FC", "LFE", "BL", "BR", "SL", "SR"),
}
"""RFC 9639, section 9.1.3."""

_FFMPEG = {
    "3.0": ("FL", "FR", "FC"),
    "quad": ("FL", "FR", "BL", "BR"),
    "5.0": ("FL", "FR", "FC", "BL", "BR"),
    "5.0(side)": ("FL", "FR", "FC", "SL", "SR"),
    "5.1": ("FL", "FR", "FC", "LFE", "BL", "BR"),
    "5.1(side)": ("FL", "FR", "FC", "LFE", "SL", "SR"),
    "6.1": ("FL", "FR", "FC", "LFE", "BC", "SL", "SR"),
    "7.1": ("FL", "FR", "FC", "LFE", "BL", "BR", "SL", "SR"),
}
"""By ffmpeg's names. ffmpeg returns channels in the order of WAV for every container."""

_FILTERED = {"VORBIS": (6,), "OPUS": (6, 7, 8)}
"""Numbers of channels whose last one the encoder low-pass filters at about 100 Hz, as the LFE."""


@dataclass(frozen=True)
class SurroundLayout:
    """The loudspeaker of each channel; `stated` if the file or the codec defines it, not only a default."""

    speakers: tuple[str, ...]
    stated: bool

    @property
    def lfe(self) -> int | None:
        """Index of the low-frequency effects channel; None if the file does not state one."""
        return self.speakers.index("LFE") if self.stated and "LFE" in self.speakers else None


@dataclass(frozen=True)
class ChannelOrder:
    """Order of channels in an output file: output channel i is input channel `channels[i]`."""

    channels: tuple[int, ...]
    mask: int = 0
    """Channel mask for a WAV or FLAC file; 0 for none."""
    lost: bool = False
    """Whether the target cannot store the layout; channels are then in the order of the source."""


def layout_of(info: AudioInfo) -> SurroundLayout | None:
    """Return the channel layout of a recording; None if neither file nor format defines it."""
    if info.by_ffmpeg:
        named = _FFMPEG.get(info.layout, ())
        return SurroundLayout(named, stated=True) if len(named) == info.channels else None
    if info.format in ("WAV", "WAVEX", "RF64"):
        return _of_mask(riff.channel_mask(info.path), info.channels)
    if info.format == "FLAC":
        stated = _flac_mask(info.path)
        if stated is not None:
            return _of_mask(stated, info.channels)
        return SurroundLayout(_FLAC[info.channels], stated=False) if info.channels in _FLAC else None
    if info.format == "OGG" and info.channels in _OGG:
        discrete = info.subtype == "OPUS" and vorbis.opus_mapping_family(info.path) != 1
        return None if discrete else SurroundLayout(_OGG[info.channels], stated=True)
    return None


def _flac_mask(path: Path) -> int | None:
    values = [v for key, v in flac.comments(path) if key == flac.CHANNEL_MASK]
    found = re.fullmatch(r"(?:0x)?([0-9a-fA-F]+)", values[0].strip()) if values else None
    return int(found[1], 16) if found else None


def _of_mask(mask: int, channels: int) -> SurroundLayout | None:
    speakers = tuple(name for bit, name in enumerate(SPEAKERS) if mask >> bit & 1)
    return SurroundLayout(speakers, stated=True) if len(speakers) == channels else None


def order_for(layout: SurroundLayout | None, channels: int, target: Path, subtype: str) -> ChannelOrder:
    """Return the order of channels of this layout in `target`.

    Raises `AudioError` if the encoder would filter a channel as the LFE that is not, or may not be, the LFE.
    """
    if target.suffix.lower() in MEDIA_FORMATS:
        return _into_media(layout, channels, target)
    name = format_of(target).name
    if name == "OGG":
        return _into_ogg(layout, channels, target, subtype)
    as_they_are = tuple(range(channels))
    if layout is None:
        return ChannelOrder(as_they_are)
    if channels < 3:
        return ChannelOrder(as_they_are, _mask(layout) if name == "WAV" else 0)
    sorted_ = sorted(layout.speakers, key=SPEAKERS.index)
    order = tuple(layout.speakers.index(speaker) for speaker in sorted_)
    if name == "FLAC":
        usual = _alike(tuple(sorted_)) == _alike(_FLAC.get(channels, ()))
        return ChannelOrder(order, _mask(layout) if layout.stated and not usual else 0)
    states = name in ("WAV", "RF64")
    return ChannelOrder(
        order, _mask(layout) if layout.stated and states else 0, lost=layout.stated and not states
    )


def _into_ogg(layout: SurroundLayout | None, channels: int, target: Path, subtype: str) -> ChannelOrder:
    wanted = _alike(_OGG.get(channels, ()))
    found = _alike(layout.speakers) if layout else ()
    if found and set(found) == set(wanted):
        return ChannelOrder(tuple(found.index(speaker) for speaker in wanted))
    if channels in _FILTERED.get(subtype, ()):
        raise AudioError(
            f"{target}: {subtype} encodes the last of {channels} channels as the low-frequency effects of surround "
            "sound, which removes speech, and the source does not state a surround layout; write .wav or .flac"
        )
    return ChannelOrder(tuple(range(channels)), lost=channels > 2 and layout is not None)


def _into_media(layout: SurroundLayout | None, channels: int, target: Path) -> ChannelOrder:
    """Return the order of WAV, which ffmpeg expects; of six channels and more, one is low-frequency effects."""
    if layout is None:
        if channels >= 6:
            raise AudioError(
                f"{target}: its codec encodes one of {channels} channels as the low-frequency effects of surround, "
                "which may remove speech, and the source does not state a surround layout; write .wav or .flac"
            )
        return ChannelOrder(tuple(range(channels)))
    order = sorted(range(len(layout.speakers)), key=lambda i: SPEAKERS.index(layout.speakers[i]))
    if channels != len(order):
        return ChannelOrder(tuple(range(channels)))
    usual = {_alike(speakers) for speakers in (("FC",), ("FL", "FR"), *_FFMPEG.values())}
    return ChannelOrder(tuple(order), lost=_alike(tuple(layout.speakers[i] for i in order)) not in usual)


def _mask(layout: SurroundLayout) -> int:
    return sum(1 << SPEAKERS.index(speaker) for speaker in layout.speakers)


def _alike(speakers: tuple[str, ...]) -> tuple[str, ...]:
    """Return a layout with side and back as one name, if it has only one of the two pairs."""
    pairs = {"SL", "BL"} & set(speakers)
    if len(pairs) == 2:
        return speakers
    rename = {"BL": "SL", "BR": "SR"} if "BC" in speakers else {"SL": "BL", "SR": "BR"}
    return tuple(rename.get(speaker, speaker) for speaker in speakers)
