"""Formats that are read and written with ffmpeg, by suffix and by content."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO


@dataclass(frozen=True)
class MediaFormat:
    """A container by ffmpeg's name, and its audio codecs with the encoder of each; default first."""

    name: str
    codecs: dict[str, str]
    video: bool = False
    channels: int = 8


_AAC = {"aac": "aac"}
_APPLE = {**_AAC, "alac": "alac"}
_PCM = {"pcm_s16le": "pcm_s16le", "pcm_s24le": "pcm_s24le", "pcm_f32le": "pcm_f32le"}
_XIPH = {"opus": "libopus", "vorbis": "libvorbis"}
_MATROSKA = {**_AAC, **_XIPH, "flac": "flac", "alac": "alac", "mp3": "libmp3lame", "ac3": "ac3", **_PCM}
_WMA = {"wmav2": "wmav2", "wmav1": "wmav1"}
_BROADCAST = {**_AAC, "mp2": "mp2", "ac3": "ac3"}

MEDIA_FORMATS = {
    ".m4a": MediaFormat("ipod", _APPLE),
    ".m4b": MediaFormat("ipod", _APPLE),
    ".mka": MediaFormat("matroska", _MATROSKA),
    ".aac": MediaFormat("adts", _AAC),
    ".wma": MediaFormat("asf", _WMA, channels=2),
    ".mp4": MediaFormat("mp4", _APPLE, video=True),
    ".m4v": MediaFormat("mp4", _APPLE, video=True),
    ".mov": MediaFormat("mov", {**_APPLE, **_PCM}, video=True),
    ".3gp": MediaFormat("3gp", _AAC, video=True),
    ".3g2": MediaFormat("3g2", _AAC, video=True),
    ".mkv": MediaFormat("matroska", _MATROSKA, video=True),
    ".webm": MediaFormat("webm", _XIPH, video=True),
    ".avi": MediaFormat(
        "avi", {"mp3": "libmp3lame", "ac3": "ac3", "pcm_s16le": "pcm_s16le"}, video=True, channels=2
    ),
    ".wmv": MediaFormat("asf", _WMA, video=True, channels=2),
    ".asf": MediaFormat("asf", _WMA, video=True, channels=2),
    ".flv": MediaFormat("flv", _AAC, video=True),
    ".ogv": MediaFormat("ogv", {"vorbis": "libvorbis", "opus": "libopus", "flac": "flac"}, video=True),
    ".mpg": MediaFormat("mpeg", {"mp2": "mp2", "ac3": "ac3"}, video=True, channels=2),
    ".mpeg": MediaFormat("mpeg", {"mp2": "mp2", "ac3": "ac3"}, video=True, channels=2),
    ".ts": MediaFormat("mpegts", _BROADCAST, video=True),
    ".mts": MediaFormat("mpegts", _BROADCAST, video=True),
    ".m2ts": MediaFormat("mpegts", _BROADCAST, video=True),
}
"""Formats that are written with ffmpeg, by suffix."""

_READ_ONLY = frozenset(
    (
        ".mp2",
        ".amr",
        ".awb",
        ".ac3",
        ".eac3",
        ".dts",
        ".ape",
        ".wv",
        ".tta",
        ".spx",
        ".mpc",
        ".weba",
        ".dsf",
        ".dff",
        ".vob",
        ".oma",
    )
)
_ONLY_BY_NAME = frozenset((".ts",))
"""Suffixes with other meanings too (TypeScript): accepted for a named file, skipped in folders."""

MEDIA = frozenset((*MEDIA_FORMATS, *_READ_ONLY)) - _ONLY_BY_NAME
"""Suffixes of files in folders that are read with ffmpeg."""

DEMUXERS = (
    "mov,mp4,m4a,3gp,3g2,mj2,matroska,webm,asf,avi,flv,mpegts,mpeg,mpegvideo,ogg,aac,amr,amrnb,amrwb,ac3,eac3,dts,"
    "ape,wv,tta,mpc,mpc8,mp3,wav,w64,aiff,caf,flac,au,rm,dsf,iff,oma,voc,nut,mxf"
)
"""Demuxers that ffmpeg may use: no playlists, which name other files."""


def is_media(target: Path) -> bool:
    """Return whether a file of this name is written with ffmpeg."""
    return target.suffix.lower() in MEDIA_FORMATS


def target_suffix(path: Path) -> str:
    """Return the default suffix of the output for a file: its own, or `.wav` if that cannot be written.

    Examples:
        >>> target_suffix(Path("talk.mp4")), target_suffix(Path("call.amr")), target_suffix(Path("a.flac"))
        ('.mp4', '.wav', '.flac')

    """
    return ".wav" if path.suffix.lower() in _READ_ONLY else path.suffix


def target_name(path: Path) -> Path:
    """Return the path with `target_suffix`."""
    suffix = target_suffix(path)
    return path if suffix == path.suffix else path.with_suffix(suffix)


def holds_media(path: Path, handle: BinaryIO) -> bool:
    """Return whether ffmpeg may read a file that libsndfile cannot, by its name or first bytes."""
    if path.suffix.lower() in MEDIA_FORMATS or path.suffix.lower() in _READ_ONLY:
        return True
    handle.seek(0)
    head = handle.read(400)
    return _begins(head, (*_FOREIGN, *_SHARED)) or _is_framed(head)


def is_foreign(handle: BinaryIO) -> bool:
    """Return whether libsndfile cannot read this content, whatever its name (`talk.mp3` that is an m4a file)."""
    handle.seek(0)
    return _begins(handle.read(16), _FOREIGN)


def _begins(head: bytes, magics: tuple[tuple[int, bytes], ...]) -> bool:
    return any(head[at : at + len(magic)] == magic for at, magic in magics)


_FOREIGN = (
    (4, b"ftyp"), (0, b"\x1aE\xdf\xa3"), (0, b"0&\xb2u\x8ef\xcf\x11"), (8, b"AVI "), (0, b"FLV\x01"), (0, b"#!AMR"),
    (0, b"wvpk"), (0, b"TTA1"), (0, b"MAC "), (0, b"MPCK"), (0, b".RMF"), (0, b"DSD "), (0, b"FRM8"),
)  # fmt: skip
"""Offsets and magic bytes of containers that only ffmpeg reads."""
_SHARED = (
    *((4, name) for name in (b"moov", b"mdat", b"wide", b"free", b"skip")),
    (0, b"OggS"), (8, b"WAVE"), (8, b"AIFC"), (0, b"caff"), (0, b"MP+"), (0, b"\x00\x00\x01\xba"),
)  # fmt: skip
"""The same for containers that libsndfile may read, or whose bytes are ambiguous."""


def _is_framed(head: bytes) -> bool:
    """Return whether the content is AAC (ADTS), AC-3 or an MPEG transport stream."""
    adts = head[:1] == b"\xff" and head[1:2] and head[1] & 0xF6 == 0xF0
    stream = any(head[at : at + 1] == head[at + 188 : at + 189] == b"\x47" for at in (0, 4))
    return bool(adts) or head[:2] == b"\x0b\x77" or stream
