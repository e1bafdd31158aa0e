"""Find the frames and streams of MPEG audio (mp3, mp2) without decoding.

The format has no length. A first frame without audio (`Xing`, `Info` or `VBRI`) may state one, which is wrong for
joined, cut or edited files; without it decoders extrapolate from the first frames. So the headers of all frames are
read (about 0.1 s for an hour of audio).
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import BinaryIO, NamedTuple

from stillwave.audio.views import FileBytes, Span

_KBPS = {  # by (MPEG 1?, layer): of bitrate indices 1 … 14
    (True, 1): (32, 64, 96, 128, 160, 192, 224, 256, 288, 320, 352, 384, 416, 448),
    (True, 2): (32, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320, 384),
    (True, 3): (32, 40, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320),
    (False, 1): (32, 48, 56, 64, 80, 96, 112, 128, 144, 160, 176, 192, 224, 256),
    (False, 2): (8, 16, 24, 32, 40, 48, 56, 64, 80, 96, 112, 128, 144, 160),
    (False, 3): (8, 16, 24, 32, 40, 48, 56, 64, 80, 96, 112, 128, 144, 160),
}
_RATES = (44_100, 48_000, 32_000)
_SURE = 3
"""Consecutive frames that confirm the first one."""


class MpegFormat(NamedTuple):
    """Properties that all frames of a stream share."""

    rate: int
    channels: int
    samples: int
    """Per frame and channel."""
    layer: int


@dataclass
class MpegStream:
    """Frames for one decoder: from a tag frame or a change of format to the next."""

    kind: MpegFormat
    tag: Span | None = None
    """The frame that states lengths; it has no audio."""
    stated: int | None = None
    """Audio frames, by the tag."""
    stated_bytes: int | None = None
    """Bytes of the stream including the tag, by the tag."""
    frames: int = 0
    spans: list[Span] = field(default_factory=list)
    """Ranges of the audio frames; several if other bytes lie between them."""

    @property
    def start(self) -> int:
        """Position of the first byte."""
        return self.tag.start if self.tag else self.spans[0].start

    def over(self, position: int) -> bool:
        """Return whether `position` is after all that the tag states, so that the rest was appended."""
        if self.tag is None or self.stated is None or self.stated_bytes is None:
            return False
        return self.frames == self.stated and position >= self.tag.start + self.stated_bytes

    def add(self, start: int, size: int) -> None:
        """Add an audio frame."""
        self.frames += 1
        if self.spans and self.spans[-1].stop == start:
            self.spans[-1] = Span(self.spans[-1].start, start + size)
        else:
            self.spans.append(Span(start, start + size))


@dataclass
class MpegLayout:
    """Streams, tags and faults of a file."""

    streams: list[MpegStream] = field(default_factory=list)
    head: Span = field(default_factory=lambda: Span(0, 0))
    """ID3v2 tags before the first frame."""
    foot: Span | None = None
    """The ID3v1 tag at the end."""
    skipped: int = 0
    """Bytes between frames that belong to no frame or tag."""
    broken_end: bool = False
    """Whether the last frame is incomplete."""
    end: int = 0
    """End of the file, or start of the ID3v1 tag."""


def _kinds() -> list[tuple[int, int, int, int]]:
    """Return (bytes of the frame, rate, samples, layer) by the second and third byte of a header; zeros for none."""
    table = [(0, 0, 0, 0)] * 65_536
    for code in range(65_536):
        second, third = code >> 8, code & 255
        version, layer = (second >> 3) & 3, 4 - ((second >> 1) & 3)
        bitrate, rate = third >> 4, (third >> 2) & 3
        if second < 0xE0 or version == 1 or layer == 4 or bitrate in (0, 15) or rate == 3:
            continue
        first = version == 3
        hertz = _RATES[rate] >> (0 if first else 1 if version == 2 else 2)
        samples = 384 if layer == 1 else 1152 if layer == 2 or first else 576
        bits = 1000 * _KBPS[first, layer][bitrate - 1]
        slot = 4 if layer == 1 else 1
        size = (samples // 8 // slot * bits // hertz + ((third >> 1) & 1)) * slot
        table[code] = (size, hertz, samples, layer)
    return table


_KINDS = _kinds()


def walk(handle: BinaryIO) -> MpegLayout:
    """Find all frames of a file."""
    try:
        return _Walk(FileBytes(handle)).run()
    except OSError:
        return MpegLayout()


class _Walk:
    def __init__(self, data: FileBytes) -> None:
        self._data = data
        self._end = len(data)
        self._layout = MpegLayout()
        if data[-128:-125] == b"TAG":
            self._end -= 128
            self._layout.foot = Span(self._end, self._end + 128)
        self._layout.end = self._end
        self._marks = _finds(data, b"Xing") | _finds(data, b"Info") | _finds(data, b"VBRI")

    def run(self) -> MpegLayout:
        """Visit all frames; skip tags and other bytes."""
        position = self._after_tags(0)
        self._layout.head = Span(0, position)
        stream: MpegStream | None = None
        while position + 4 <= self._end:
            found = self._frame(position)
            new = found is not None and (stream is None or found[1] != stream.kind)
            if found is None or (new and not self._sure(position)):
                position = self._resync(position, stream)
                continue
            size, kind = found
            if position + size > self._end:
                self._layout.broken_end = True
                break
            tag = self._tag(position, size) if self._marks else None
            if stream is None or kind != stream.kind or tag is not None or stream.over(position):
                stream = (
                    MpegStream(kind)
                    if tag is None
                    else MpegStream(kind, Span(position, position + size), *tag)
                )
                self._layout.streams.append(stream)
            if tag is None:
                stream.add(position, size)
            position += size
        self._layout.streams = [stream for stream in self._layout.streams if stream.frames]
        return self._layout

    def _frame(self, position: int) -> tuple[int, MpegFormat] | None:
        first, second, third, fourth = self._data[position : position + 4]
        size, rate, samples, layer = _KINDS[second << 8 | third]
        if first != 0xFF or not size:
            return None
        return size, MpegFormat(rate, 1 if fourth >> 6 == 3 else 2, samples, layer)

    def _sure(self, position: int) -> bool:
        """Return whether consecutive frames of one format begin here."""
        kind = None
        for _ in range(_SURE):
            if position + 4 > self._end:
                return kind is not None
            found = self._frame(position)
            if found is None or (kind is not None and found[1] != kind):
                return False
            size, kind = found
            position += size
        return True

    def _resync(self, position: int, stream: MpegStream | None) -> int:
        """Return the position of the next frame, or the end of the file."""
        behind = self._after_tags(position)
        if behind > position:
            return behind
        start = position
        while True:
            position = self._data.find(b"\xff", position + 1, self._end)
            if position < 0 or position + 4 > self._end:
                return self._end
            if self._sure(position):
                if stream is not None:
                    self._layout.skipped += position - start
                return position

    def _after_tags(self, position: int) -> int:
        """Return the position after ID3v2 and APE tags."""
        data = self._data
        while position + 32 <= self._end:
            if data[position : position + 3] == b"ID3":
                a, b, c, d = (byte & 127 for byte in data[position + 6 : position + 10])
                position += 10 + (a << 21 | b << 14 | c << 7 | d) + (10 if data[position + 5] & 0x10 else 0)
            elif data[position : position + 8] == b"APETAGEX":
                flags = int.from_bytes(data[position + 20 : position + 24], "little")
                size = int.from_bytes(data[position + 12 : position + 16], "little")
                position += (32 + size) if flags >> 29 & 1 else 32
            else:
                break
        return min(position, self._end)

    def _tag(self, position: int, size: int) -> tuple[int | None, int | None] | None:
        """Return the frames and bytes that a tag frame states; None for an audio frame."""
        data, frame = self._data, self._data[position : position + min(size, 160)]
        wide = data[position + 3] >> 6 != 3
        offset = 4 + ((32 if wide else 17) if data[position + 1] & 8 else (17 if wide else 9))
        for at in (offset, offset + 2):
            if position + at in self._marks and frame[at : at + 4] in (b"Xing", b"Info"):
                flags = int.from_bytes(frame[at + 4 : at + 8], "big")
                numbers = [int.from_bytes(frame[at + 8 + 4 * i : at + 12 + 4 * i], "big") for i in range(2)]
                frames = numbers.pop(0) if flags & 1 else None
                return frames, numbers[0] if flags & 2 else None
        if position + 36 in self._marks and frame[36:40] == b"VBRI":
            return int.from_bytes(frame[50:54], "big"), int.from_bytes(frame[46:50], "big")
        return None


def _finds(data: FileBytes, word: bytes) -> set[int]:
    found, position = set(), data.find(word)
    while position >= 0:
        found.add(position)
        position = data.find(word, position + 1)
    return found
