"""Recognise audio files by their first bytes, where raw samples are expected."""

from __future__ import annotations

_STARTS: tuple[tuple[str, dict[int, bytes]], ...] = (
    ("WAV", {0: b"RIFF", 8: b"WAVE"}),
    ("AVI", {0: b"RIFF", 8: b"AVI "}),
    ("WAV", {0: b"RIFX", 8: b"WAVE"}),
    ("WAV", {0: b"RF64", 8: b"WAVE"}),
    ("WAV", {0: b"BW64", 8: b"WAVE"}),
    ("Wave64", {0: b"riff", 4: b"\x2e\x91\xcf\x11"}),
    ("AIFF", {0: b"FORM", 8: b"AIF"}),
    ("FLAC", {0: b"fLaC"}),
    ("Ogg", {0: b"OggS"}),
    ("MP3", {0: b"ID3"}),
    ("MP4", {4: b"ftyp"}),
    ("Matroska or WebM", {0: b"\x1a\x45\xdf\xa3"}),
    ("Core Audio", {0: b"caff"}),
    ("AU", {0: b".snd"}),
    ("AMR", {0: b"#!AMR"}),
    ("NIST SPHERE", {0: b"NIST_1A"}),
    ("WavPack", {0: b"wvpk"}),
    ("WMA", {0: b"\x30\x26\xb2\x75\x8e\x66\xcf\x11"}),
)
"""Formats with their bytes by position. Formats with few fixed bits (MP3 without tags, ADTS) are omitted, since raw
samples often match them."""
HEAD = 16
"""Number of bytes that `container` needs."""


def container(head: bytes) -> str | None:
    """Return the name of the file format that starts with these bytes, or None.

    Examples:
        >>> container(b"RIFF....WAVEfmt "), container(b"ID3."), container(bytes(16))
        ('WAV', 'MP3', None)

    """
    for name, marks in _STARTS:
        if all(head[place : place + len(mark)] == mark for place, mark in marks.items()):
            return name
    return None
