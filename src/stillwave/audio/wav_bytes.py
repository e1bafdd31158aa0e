"""A WAV file as bytes in order, for a reader that cannot wait until the file is complete.

The length is known first, so the header is final. Header and trailing metadata are those that `open_writer` writes:
a file of two samples is written with it, and its sizes are replaced.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import numpy as np

from stillwave.audio.contract import Samples
from stillwave.audio.formats import INTEGER_BITS
from stillwave.audio.metadata import riff
from stillwave.audio.writing import Kept, open_writer, quantise
from stillwave.errors import AudioError

_FEW = 2
"""Samples of the file that the header is taken from; an even number of bytes for every sample format."""
_BYTES = {"PCM_16": 2, "PCM_24": 3, "PCM_32": 4, "FLOAT": 4, "DOUBLE": 8}
_LARGEST = 2**32 - 2**16


class WavBytes:
    """Header, samples and trailer of a WAV file.

    Args:
        scratch: Path of a file to write and remove.
        rate: Sampling rate in Hz.
        channels: Number of channels.
        frames: Samples per channel.
        subtype: Sample format, such as `PCM_16`.
        tags: Title, artist, comment and other tags.
        kept: Metadata of a source.

    Raises:
        AudioError: The format cannot store the samples, or the file would exceed 4 GB.

    """

    def __init__(
        self,
        scratch: Path,
        rate: int,
        channels: int,
        frames: int,
        subtype: str,
        tags: Mapping[str, str] | None = None,
        kept: Kept | None = None,
    ) -> None:
        self._subtype, self._width = subtype, channels * _BYTES[subtype]
        size = frames * self._width
        if size > _LARGEST:
            raise AudioError(f"a WAV file holds 4 GB, these samples need {size} bytes")
        with open_writer(scratch, rate, channels, subtype=subtype, tags=tags, kept=kept) as writer:
            writer.write(np.zeros((channels, _FEW), np.float32))
        content, places = scratch.read_bytes(), _places(scratch)
        scratch.unlink()
        start = places["data"]
        header = bytearray(content[:start])
        # libsndfile pads samples to an even number of bytes.
        self.trailer = b"\0" * (size % 2) + content[start + _FEW * self._width :]
        _put(header, start - 4, size)
        if "fact" in places:
            _put(header, places["fact"], frames)
        _put(header, 4, len(header) + size + len(self.trailer) - 8)
        self.header = bytes(header)
        self.size = len(self.header) + size + len(self.trailer)
        """Bytes of the whole file."""

    def samples(self, samples: Samples) -> bytes:
        """Return samples `[channels, n]` as bytes, equal to those of `Writer.write`."""
        rows = np.ascontiguousarray(samples.T)
        bits = INTEGER_BITS.get(self._subtype)
        if bits is None:
            return rows.astype("<f8" if self._subtype == "DOUBLE" else "<f4").tobytes()
        steps = quantise(rows, bits)
        if bits == 24:
            return steps.astype("<i4").view(np.uint8).reshape(-1, 4)[:, 1:].tobytes()
        return (steps >> np.int32(32 - bits)).astype("<i2" if bits == 16 else "<i4").tobytes()


def _places(path: Path) -> dict[str, int]:
    with path.open("rb") as handle:
        return {chunk.name.decode("latin-1").strip(): chunk.start for chunk in riff.chunks(handle)}


def _put(header: bytearray, place: int, value: int) -> None:
    header[place : place + 4] = value.to_bytes(4, "little")
