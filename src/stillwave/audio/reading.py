"""Read recordings: whole, in part, or block by block in constant memory.

The length in a header may be wrong: a recording ends where its decoder ends. `AudioInfo.exact` states whether `frames`
is the decoded length; `measure` decodes the recording if it is not.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field, replace
from functools import lru_cache
from pathlib import Path
from typing import BinaryIO

import numpy as np

from stillwave.audio.contract import Samples, check_finite, check_rate
from stillwave.audio.decoding import Decoder, cut_short, open_decoder
from stillwave.audio.resampling import resample
from stillwave.errors import AudioError
from stillwave.files import as_path

_BLOCK = 2**17
"""Samples per channel that are decoded at once."""


@dataclass(frozen=True)
class AudioInfo:
    """Properties of a recording, known without decoding it. `format` and `subtype` are names of libsndfile."""

    path: Path
    sample_rate: int
    channels: int
    frames: int
    """Samples per channel: the decoded length if `exact`, else an estimate (0 for none)."""
    format: str
    subtype: str
    tags: Mapping[str, str] = field(default_factory=dict)
    """Title, artist, comment and other tags."""
    exact: bool = True
    notes: tuple[str, ...] = ()
    """Remarks for the user on how the file is read."""
    layout: str = ""
    """Channel layout by ffmpeg's name (`5.1`); empty if unknown or not read by ffmpeg, as is `kbps`, the bit rate."""
    kbps: float | None = None

    @property
    def by_ffmpeg(self) -> bool:
        """Whether ffmpeg reads the file: `format` is then the container, `subtype` the codec."""
        return self.format.startswith("FFMPEG ")

    @property
    def seconds(self) -> float:
        """Duration in seconds, as exact as `frames`."""
        return self.frames / self.sample_rate


class Reader:
    """An open recording that is read sequentially. Made by `open_reader`."""

    def __init__(self, info: AudioInfo, decoder: Decoder) -> None:
        self.info = info
        self._decoder = decoder
        self._position = 0
        self._ended = False

    @property
    def notes(self) -> tuple[str, ...]:
        """`AudioInfo.notes` and remarks from decoding."""
        return tuple(dict.fromkeys((*self.info.notes, *self._decoder.notes)))

    @property
    def position(self) -> int:
        """Samples per channel that have been read or skipped."""
        return self._position

    def seek(self, frame: int) -> None:
        """Continue reading at `frame`; forwards only."""
        if self._decoder.seek(frame):
            self._position = frame
            return
        while self._position < frame and not self._ended:
            self.read(min(_BLOCK, frame - self._position))

    def read(self, frames: int) -> Samples:
        """Return the next `[channels, frames]`: fewer at the end of the recording, none after it.

        Raises `AudioError` if the file holds less than its header states, or for NaN or infinity.
        """
        wanted = 0 if self._ended else max(0, frames)
        if not wanted:
            return np.zeros((self.info.channels, 0), np.float32)
        found = self._decoder.read(wanted)
        samples = check_finite(np.ascontiguousarray(found.T), str(self.info.path), self._position)
        self._position += len(found)
        if len(found) < wanted:
            self._ended = True
            self._check_end()
        return samples

    def _check_end(self) -> None:
        info, decoded = self.info, self._position / self.info.sample_rate
        is_stated = info.format == "FLAC" or (info.exact and not info.subtype.startswith("MPEG"))
        if is_stated and self._position < info.frames:
            raise cut_short(info.path, f"has {decoded:.3f} s of the {info.seconds:.3f} s in its header")
        if self._position == 0:
            raise AudioError(f"{info.path}: has no samples")

    def rest(self) -> Samples:
        """Return the rest of the recording, `[channels, n]`."""
        info = self.info
        first = self.read(info.frames - self._position if info.exact else _BLOCK)
        blocks = [first, *self.blocks(_BLOCK)]
        return first if len(blocks) == 1 else np.concatenate(blocks, axis=1)

    def blocks(self, frames: int) -> Iterator[Samples]:
        """Yield the rest of the recording in blocks `[channels, frames]`; the last one may be shorter."""
        while (block := self.read(frames)).shape[1]:
            yield block


@contextmanager
def open_reader(path: Path | str | bytes, *, headers_only: bool = False) -> Iterator[Reader]:
    """Open a recording for reading in blocks.

    Args:
        path: Path of the file.
        headers_only: Accept the length in the header of a FLAC file if its last frame agrees, instead of searching the
            whole file for joined recordings.

    Raises:
        AudioError: As `probe`.

    """
    path = as_path(path)
    with ExitStack() as stack:
        decoder = stack.enter_context(open_decoder(path, stack.enter_context(_opened(path)), headers_only))
        if decoder.exact and decoder.frames == 0:
            raise AudioError(f"{path}: has no samples")
        info = AudioInfo(
            path=path,
            sample_rate=check_rate(decoder.rate, f"{path}: sample rate"),
            channels=decoder.channels,
            frames=decoder.frames,
            format=decoder.format,
            subtype=decoder.subtype,
            tags=decoder.tags,
            exact=decoder.exact,
            notes=tuple(decoder.notes),
            layout=decoder.layout,
            kbps=decoder.kbps,
        )
        yield Reader(info, decoder)


def probe(path: Path | str | bytes) -> AudioInfo:
    """Return rate, channels, length and format of a recording without decoding it; the length may be an estimate.

    Raises:
        AudioError: The file is missing, unreadable, empty, cut short or not audio.

    """
    with open_reader(path) as reader:
        return reader.info


def measure(path: Path | str | bytes) -> AudioInfo:
    """Return the same as `probe` with an exact length; decode the recording if its header is not reliable.

    Raises:
        AudioError: As `probe` and `read`.

    """
    path = as_path(path)
    try:
        found = path.stat()
    except OSError:
        return probe(path)  # raises the error
    return _measured(path, found.st_size, found.st_mtime_ns)


@lru_cache(4096)
def _measured(path: Path, size: int, time: int) -> AudioInfo:  # noqa: ARG001 # cache key
    with open_reader(path) as reader:
        if reader.info.exact:
            return reader.info
        frames = sum(block.shape[1] for block in reader.blocks(_BLOCK))
        return replace(reader.info, frames=frames, exact=True, notes=reader.notes)


def read(
    path: Path | str | bytes, *, sample_rate: int | None = None, start: int = 0, frames: int = -1
) -> tuple[Samples, int]:
    """Decode a recording or a part of it.

    Args:
        path: Path of the file.
        sample_rate: Rate in Hz to resample to (soxr HQ); None for that of the file.
        start: First sample, at the rate of the file.
        frames: Number of samples per channel, at the rate of the file; −1 for all. At the end there may be fewer.

    Returns:
        Samples `[channels, n]`, float32, and their rate in Hz.

    Raises:
        AudioError: As `probe`, and for NaN, infinity or a start outside the recording.

    """
    if sample_rate is not None:
        check_rate(sample_rate)
    path = as_path(path)
    with open_reader(path) as reader:
        info = reader.info
        if start < 0 or (info.exact and start >= info.frames):
            raise AudioError(f"{path}: has {info.frames} samples, so reading cannot start at sample {start}")
        if start:
            reader.seek(start)
        samples = reader.rest() if frames < 0 else reader.read(frames)
        if start and frames and not samples.shape[1]:
            raise AudioError(
                f"{path}: has {reader.position} samples, so reading cannot start at sample {start}"
            )
    rate = info.sample_rate if sample_rate is None else sample_rate
    return resample(samples, info.sample_rate, rate), rate


@contextmanager
def _opened(path: Path) -> Iterator[BinaryIO]:
    """Open a file; raise errors that libsndfile would report as 'System error' or 'Format not recognised'."""
    try:
        if not stat.S_ISREG(path.stat().st_mode) and not path.is_dir():
            raise AudioError(f"{path}: is not a regular file; pipe it into `stillwave enhance -`")
        handle = path.open("rb")
    except FileNotFoundError:
        raise AudioError(f"{path}: there is no such file") from None
    except IsADirectoryError:
        raise AudioError(f"{path}: this is a folder, not a recording") from None
    except (OSError, ValueError) as error:
        raise AudioError(f"{path}: cannot be read: {getattr(error, 'strerror', None) or error}") from None
    with handle:
        if handle.seek(0, os.SEEK_END) == 0:
            raise AudioError(f"{path}: the file is empty")
        yield handle
