"""Names of uploaded files: only a suffix and a title are taken from them, never a path."""

from __future__ import annotations

import re
from email.message import Message
from pathlib import PurePosixPath
from urllib.parse import quote

from stillwave.audio import FORMATS, MEDIA
from stillwave.audio.ffmpeg import MEDIA_FORMATS

_SUFFIXES = frozenset((*FORMATS, *MEDIA_FORMATS, *MEDIA))
_LONGEST = 120


def base_name(given: str) -> str:
    r"""Return the last part of a file name, without control characters; empty for none.

    Examples:
        >>> base_name("../../etc/passwd"), base_name("C:\\Users\\a\\talk.wav"), base_name("..")
        ('passwd', 'talk.wav', '')

    """
    name = "".join(c for c in given if c.isprintable()).replace("\\", "/")
    name = PurePosixPath(name).name.strip(". ") if name.strip("./ ") else ""
    return name if len(name) <= _LONGEST else name[-_LONGEST:]


def suffix_of(name: str) -> str:
    """Return the suffix of a file name in lower case, if it is that of a format; else an empty text."""
    suffix = PurePosixPath(name).suffix.lower()
    return suffix if suffix in _SUFFIXES else ""


def enhanced_name(name: str, suffix: str) -> str:
    """Return the name of the output for the name of an upload.

    Examples:
        >>> enhanced_name("talk.mp3", ".wav"), enhanced_name("", ".flac")
        ('talk-enhanced.wav', 'enhanced.flac')

    """
    stem = name.removesuffix(PurePosixPath(name).suffix) if suffix_of(name) else name
    return f"{stem}-enhanced{suffix}" if stem else f"enhanced{suffix}"


def disposition(name: str) -> str:
    """Return the value of Content-Disposition for a download (RFC 6266)."""
    plain = re.sub(r"[^A-Za-z0-9._ -]", "_", name)
    return f"attachment; filename=\"{plain}\"; filename*=UTF-8''{quote(name, safe='')}"


def name_in_disposition(header: str) -> str:
    """Return the file name in a Content-Disposition header; empty for none."""
    message = Message()
    message["Content-Disposition"] = header
    return message.get_filename("") or ""
