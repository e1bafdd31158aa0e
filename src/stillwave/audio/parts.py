"""Plan how to read files that libsndfile would read in part only.

libsndfile trusts the lengths in headers and stops at the end of the first of several joined streams. Files without
such faults are read as they are.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import BinaryIO

from stillwave.audio import flac, mpeg, ogg
from stillwave.audio.integrity import joined, with_true_size
from stillwave.audio.metadata import riff
from stillwave.audio.mpeg import MpegLayout, MpegStream
from stillwave.audio.views import Pieces, Span, View

_ENDLESS = 64
"""Factor on the reported size of MPEG audio, so that it is decoded to its end: bit rates vary by less."""


@dataclass(frozen=True)
class FilePart:
    """A stream that one decoder reads to its end."""

    pieces: Pieces
    frames: int | None = None
    """Samples per channel; None for those that the decoder reports."""
    endless: bool = False
    """Whether a larger size has to be reported to the decoder for it to read to the end."""

    def view(self, handle: BinaryIO) -> View:
        """Return the part as a file."""
        view = View(handle, self.pieces)
        return View(handle, self.pieces, max(view.size * _ENDLESS, 2**16)) if self.endless else view


@dataclass
class ReadPlan:
    """How to read a file: `parts` in sequence, or the file itself if there are none."""

    parts: list[FilePart] = field(default_factory=list)
    exact: bool = True
    """Whether the reported number of samples is the decoded one."""
    of: str = ""
    """`mpeg` if all frames were counted, `joined` if the data chunks of a WAV file were concatenated."""
    fault: str = ""
    """Why the file is incomplete."""
    limit: int | None = None
    """Samples per channel without the padding of the last block; None for no limit."""
    notes: list[str] = field(default_factory=list)


def plan(handle: BinaryIO, *, headers_only: bool = False) -> ReadPlan:
    """Return how to read a file, for which the length in its header is compared with what it holds.

    With `headers_only` a FLAC file is not searched for joined recordings if its last frame ends at the stated length.
    """
    handle.seek(0)
    head = handle.read(12)
    if head[:4] == b"fLaC" or (head[:3] == b"ID3" and flac.start(handle) is not None):
        return _flac(handle, headers_only)
    if head[:3] == b"ID3" or (head[:1] == b"\xff" and head[1:2] >= b"\xe0"):
        return mpeg_plan(handle)
    found = next((of for magic, of in _BY_MAGIC.items() if head.startswith(magic)), None)
    return found(handle) if found else ReadPlan()


def _container(handle: BinaryIO) -> ReadPlan:
    """Plan for WAV and similar formats: replace an impossible length by that of the data."""
    chunks = joined(handle)
    if chunks is not None:
        notes = [f"has {len(chunks) - 2} chunks of samples, which are read in sequence"]
        return ReadPlan([FilePart(chunks)], of="joined", notes=notes)
    pieces = with_true_size(handle)
    return ReadPlan(limit=riff.stated_samples(handle)) if pieces is None else ReadPlan([FilePart(pieces)])


def _flac(handle: BinaryIO, headers_only: bool) -> ReadPlan:
    stated = flac.lengths(handle) if headers_only else None
    if stated is not None and stated.stated == stated.last:
        return _one_flac(handle)
    spans = flac.recordings(handle)
    if len(spans) == 1:
        return _one_flac(handle)
    read_plan = ReadPlan()
    for span in spans:
        one = _one_flac(View(handle, [span]))
        if one.parts:
            read_plan.parts.append(FilePart(_within(span, one.parts[0].pieces), one.parts[0].frames))
        else:
            read_plan.parts.append(FilePart((span,)))
        read_plan.exact = read_plan.exact and one.exact
    return read_plan


def _within(span: Span, pieces: Pieces) -> Pieces:
    """Return pieces of a range as pieces of the file."""
    return [
        Span(span.start + piece.start, span.start + piece.stop) if isinstance(piece, Span) else piece
        for piece in pieces
    ]


def _one_flac(handle: BinaryIO | View) -> ReadPlan:
    found = flac.lengths(handle)
    end = flac.end_of_frames(handle)
    if found is None or found.stated == found.last:
        tagged = found is not None and end < handle.seek(0, os.SEEK_END)
        return ReadPlan([FilePart((Span(0, end),))]) if tagged else ReadPlan()
    return ReadPlan([FilePart(flac.unlimited(handle), found.stated or found.last or 0)], exact=False)


def _ogg(handle: BinaryIO) -> ReadPlan:
    links = ogg.links(handle)
    if len(links) < 2:
        return ReadPlan()
    return ReadPlan([FilePart((link,)) for link in links])


def mpeg_plan(handle: BinaryIO) -> ReadPlan:
    """Return how to read MPEG audio; as it is if no frames are found (free format)."""
    layout = mpeg.walk(handle)
    streams = layout.streams
    if not streams:
        return ReadPlan(exact=False, of="mpeg")
    read_plan = ReadPlan(of="mpeg")
    for index, stream in enumerate(streams):
        behind = streams[index + 1].start if index + 1 < len(streams) else layout.end
        read_plan.fault = read_plan.fault or _lacking(stream, behind)
        read_plan.parts.append(_part(stream, layout.head if index == 0 else Span(0, 0)))
    if layout.foot and len(read_plan.parts) == 1:
        only = read_plan.parts[0]
        read_plan.parts = [FilePart((*only.pieces, layout.foot), only.frames, only.endless)]
    if _as_it_is(layout):
        read_plan.parts = []
    read_plan.exact = all(stream.stated in (None, stream.frames) for stream in streams)
    if layout.skipped:
        read_plan.notes.append(f"{layout.skipped} bytes between its frames are not audio and were skipped")
    if layout.broken_end and streams[-1].stated is None:
        read_plan.notes.append("ends within a frame; it may have been cut short")
    return read_plan


def _as_it_is(layout: MpegLayout) -> bool:
    """Return whether the decoder reads the whole file without help."""
    first = layout.streams[0]
    return len(layout.streams) == 1 and first.stated == first.frames and len(first.spans) == 1


def _lacking(stream: MpegStream, behind: int) -> str:
    """Return a message about missing frames. Some encoders count the tag frame, so bytes are checked too."""
    if stream.stated is None or stream.tag is None or stream.stated <= stream.frames:
        return ""
    if stream.stated_bytes is not None:
        lost = stream.tag.start + stream.stated_bytes > behind
    else:
        lost = stream.stated > stream.frames + 1
    return f"{stream.stated - stream.frames} of {stream.stated} frames are missing at its end" if lost else ""


def _part(stream: MpegStream, head: Span) -> FilePart:
    if stream.tag and stream.stated is not None and stream.stated >= stream.frames:
        return FilePart((head, stream.tag, *stream.spans))
    return FilePart((head, *stream.spans), stream.frames * stream.kind.samples, endless=True)


_BY_MAGIC: dict[bytes, Callable[[BinaryIO], ReadPlan]] = {
    b"RIFF": _container,
    b"RIFX": _container,
    b"RF64": _container,
    b"FORM": _container,
    b"caff": _container,
    b".snd": _container,
    b"OggS": _ogg,
}
