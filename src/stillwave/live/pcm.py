"""Stream raw PCM through pipes: interleaved little-endian bytes to blocks `[channels, n]` and back."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, BinaryIO

import numpy as np

from stillwave.audio import Samples
from stillwave.errors import AudioError
from stillwave.inference.stream import Stream

FORMATS: dict[str, np.dtype[Any]] = {"s16le": np.dtype("<i2"), "f32le": np.dtype("<f4")}
"""Sample formats by their ffmpeg names."""
MOST_SAMPLES = 16_384
"""Greatest number of samples per channel that are read at once."""


class PcmDecoder:
    """Decode bytes to float32 `[channels, n]`, full scale ±1. Incomplete samples wait for the next bytes."""

    def __init__(self, format: str, channels: int) -> None:
        self._type = _type(format)
        self._channels = channels
        self.rest = b""
        """Bytes of an incomplete sample."""

    def push(self, data: bytes) -> Samples:
        """Return the samples that are complete in all channels."""
        data = self.rest + data
        complete = len(data) - len(data) % (self._type.itemsize * self._channels)
        self.rest = data[complete:]
        rows = np.frombuffer(data[:complete], self._type).reshape(-1, self._channels).T
        scale = 1.0 if self._type.kind == "f" else 2.0 ** (8 * self._type.itemsize - 1)
        return np.ascontiguousarray(rows, np.float32) / np.float32(scale)


class PcmEncoder:
    """Encode float32 `[channels, n]` to bytes. Integers are rounded and clipped at full scale."""

    def __init__(self, format: str) -> None:
        self._type = _type(format)
        self.clipped = 0
        """Number of values beyond full scale."""

    def push(self, samples: Samples) -> bytes:
        """Return the samples, interleaved."""
        rows = samples.T
        if self._type.kind == "i":
            self.clipped += int(np.count_nonzero(np.abs(rows) > 1))
            full = 2.0 ** (8 * self._type.itemsize - 1)
            rows = np.rint(rows * full).clip(-full, full - 1)
        return rows.astype(self._type).tobytes()


@dataclass
class Piped:
    """Progress of a pipe."""

    samples: int = 0
    """Samples per channel."""
    left_out: int = 0
    """Bytes after the last complete sample."""
    clipped: int = 0


def run(
    stream: Stream,
    source: BinaryIO,
    sink: BinaryIO,
    *,
    format: str = "s16le",
    keep_delay: bool = False,
    most: int = MOST_SAMPLES,
    watch: Callable[[Piped], object] | None = None,
    notice: Callable[[str], object] | None = None,
) -> Piped:
    """Enhance raw PCM from `source` to `sink` until it ends, reading and writing samples as they arrive.

    The output has the length of the input and is aligned with it; it is written `stream.delay_samples` later.

    Args:
        stream: Enhances the samples.
        source: Binary stream to read.
        sink: Binary stream to write.
        format: Sample format, a key of `FORMATS`.
        keep_delay: Write a block for each block read; the output starts with the delay, and its end is not written.
        most: Greatest number of samples per channel to read at once.
        watch: Called with the progress after each block.
        notice: Called with the name of a file format if the input starts like such a file. It is read as samples.

    Raises:
        AudioError: `format` is unknown.

    """
    inputs = stream.streams * stream.backend.microphones
    decoder, encoder, done = PcmDecoder(format, inputs), PcmEncoder(format), Piped()
    skip = 0 if keep_delay else stream.delay_samples
    width = _type(format).itemsize * inputs

    def write(samples: Samples) -> None:
        nonlocal skip
        dropped = min(skip, samples.shape[1])
        skip -= dropped
        if samples.shape[1] > dropped:
            sink.write(encoder.push(samples[:, dropped:]))
            sink.flush()
        done.clipped = encoder.clipped

    for data in _noticed(_chunks(source, most * width), notice):
        rows = decoder.push(data)
        done.samples += rows.shape[1]
        write(_process(stream, rows))
        if watch:
            watch(done)
    if not keep_delay:
        write(stream.flush().reshape(stream.streams, -1))
    done.left_out = len(decoder.rest)
    return done


def _process(stream: Stream, rows: Samples) -> Samples:
    """Process channels as streams, or as the microphones of one stream."""
    return stream.process(rows if stream.backend.microphones == 1 else rows[None])


def _chunks(source: BinaryIO, most: int) -> Iterator[bytes]:
    """Yield the available bytes as soon as there are any."""
    read = getattr(source, "read1", source.read)
    while data := read(most):
        yield data


def _noticed(chunks: Iterator[bytes], notice: Callable[[str], object] | None) -> Iterator[bytes]:
    """Yield the chunks; call `notice` once if they start like a file of a known format."""
    head, known = b"", notice is None
    for data in chunks:
        if not known and len(head) < HEAD:
            head += data[:HEAD]
            name = container(head)
            if name is not None and notice is not None:
                notice(name)
                known = True
        yield data


def _type(format: str) -> np.dtype[Any]:
    if format not in FORMATS:
        raise AudioError(f"format '{format}': expected {' or '.join(FORMATS)}")
    return FORMATS[format]


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
