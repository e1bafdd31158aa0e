"""Raw samples in pipes: bytes of interleaved little-endian PCM to blocks `[channels, n]` and back.

Bytes come as the pipe gives them, so that a block may end within a sample: the rest waits for the next.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, BinaryIO

import numpy as np

from stillwave.audio import Samples
from stillwave.errors import AudioError
from stillwave.inference.stream import Stream
from stillwave.live.containers import HEAD, container

FORMATS: dict[str, np.dtype[Any]] = {"s16le": np.dtype("<i2"), "f32le": np.dtype("<f4")}
"""Sample formats by their names in ffmpeg."""
MOST_SAMPLES = 16_384
"""Samples a channel that are taken from a pipe at once, at most."""


class PcmDecoder:
    """Bytes to float32 `[channels, n]`, full scale ±1."""

    def __init__(self, format: str, channels: int) -> None:
        self._type = _type(format)
        self._channels = channels
        self.rest = b""
        """Bytes of a sample that has not come whole."""

    def push(self, data: bytes) -> Samples:
        """The samples, of all channels, that are complete."""
        data = self.rest + data
        whole = len(data) - len(data) % (self._type.itemsize * self._channels)
        self.rest = data[whole:]
        rows = np.frombuffer(data[:whole], self._type).reshape(-1, self._channels).T
        scale = 1.0 if self._type.kind == "f" else 2.0 ** (8 * self._type.itemsize - 1)
        return np.ascontiguousarray(rows, np.float32) / np.float32(scale)


class PcmEncoder:
    """Float32 `[channels, n]` to bytes. Integers are rounded to the nearest step, and clipped at full scale."""

    def __init__(self, format: str) -> None:
        self._type = _type(format)
        self.clipped = 0
        """Values that were beyond full scale."""

    def push(self, samples: Samples) -> bytes:
        """All of `samples`, interleaved."""
        rows = samples.T
        if self._type.kind == "i":
            self.clipped += int(np.count_nonzero(np.abs(rows) > 1))
            full = 2.0 ** (8 * self._type.itemsize - 1)
            rows = np.rint(rows * full).clip(-full, full - 1)
        return rows.astype(self._type).tobytes()


@dataclass
class Piped:
    """What has gone through a pipe so far."""

    samples: int = 0
    """A channel."""
    left_out: int = 0
    """Bytes behind the last whole sample."""
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
    """Clean raw PCM from `source` into `sink` until it ends: what is there is read, and written at once.

    As many samples go out as came in. By default sample n of the output is sample n of the input, cleaned: the
    output starts `stream.delay_samples` later, and ends with the input's last sample. With `keep_delay` every
    block is answered by one of its size, so that the output is that much behind and its last samples
    never come. `watch` is called after each block, `notice` with a file format's name as soon as the input turns out to
    begin as such a file does (its bytes are taken as samples all the same). Raises AudioError for an unknown format.
    """
    inputs = stream.streams * stream.backend.microphones
    decoder, encoder, done = PcmDecoder(format, inputs), PcmEncoder(format), Piped()
    skip = 0 if keep_delay else stream.delay_samples
    width = _type(format).itemsize * inputs

    def give(samples: Samples) -> None:
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
        give(_process(stream, rows))
        if watch:
            watch(done)
    if not keep_delay:
        give(stream.flush().reshape(stream.streams, -1))
    done.left_out = len(decoder.rest)
    return done


def _process(stream: Stream, rows: Samples) -> Samples:
    """Interleaved channels are streams, or the microphones of one stream."""
    return stream.process(rows if stream.backend.microphones == 1 else rows[None])


def _chunks(source: BinaryIO, most: int) -> Iterator[bytes]:
    """What a pipe has, as soon as it has anything."""
    read = getattr(source, "read1", source.read)
    while data := read(most):
        yield data


def _noticed(chunks: Iterator[bytes], notice: Callable[[str], object] | None) -> Iterator[bytes]:
    """The same chunks; `notice` is called once if they begin as a file of a known format does."""
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
