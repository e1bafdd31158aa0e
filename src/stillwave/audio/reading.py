"""Reading recordings: whole, in part, or block by block in constant memory.

A header's length is what its writer hoped for. A recording ends where its decoder ends; `AudioInfo.exact` says whether
`frames` is known to be that, and `measure` finds out where it is not.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator, Mapping
from contextlib import AbstractContextManager, ExitStack, closing, contextmanager
from dataclasses import dataclass, field, replace
from functools import lru_cache
from pathlib import Path
from typing import BinaryIO

import numpy as np

from stillwave.audio import ffmpeg
from stillwave.audio.contract import Samples, check_finite, check_rate
from stillwave.audio.decoding import Decoder, SndfileDecoder, UndecodableError
from stillwave.audio.formats import FORMATS
from stillwave.audio.integrity import left_over, missing_bytes
from stillwave.audio.parts import ReadPlan, mpeg_plan, plan
from stillwave.audio.resampling import resample
from stillwave.errors import AudioError
from stillwave.files import as_path

_BLOCK = 2**17
"""Frames decoded at once on the way."""


@dataclass(frozen=True)
class AudioInfo:
    """What is known of a recording before it is decoded. `format` and `subtype` as libsndfile names them."""

    path: Path
    sample_rate: int
    channels: int
    frames: int
    """Per channel: what reading gives where it is `exact`, else an estimate (0 for none)."""
    format: str
    subtype: str
    tags: Mapping[str, str] = field(default_factory=dict)
    """Title, artist, comment and the like."""
    exact: bool = True
    notes: tuple[str, ...] = ()
    """What a user should know of how it is read."""
    layout: str = ""
    """The loudspeakers by ffmpeg's name (`5.1`), and `kbps` the bit rate, where ffmpeg reads it and knows them."""
    kbps: float | None = None

    @property
    def by_ffmpeg(self) -> bool:
        """Whether ffmpeg reads it: `format` then names its container, `subtype` its codec."""
        return self.format.startswith("FFMPEG ")

    @property
    def seconds(self) -> float:
        """Duration; as exact as `frames`."""
        return self.frames / self.sample_rate


class Reader:
    """An open recording that is read from front to back."""

    def __init__(self, info: AudioInfo, decoder: Decoder) -> None:
        self.info = info
        self._decoder = decoder
        self._position = 0
        self._ended = False

    @property
    def notes(self) -> tuple[str, ...]:
        """`AudioInfo.notes`, and what was found while decoding."""
        return tuple(dict.fromkeys((*self.info.notes, *self._decoder.notes)))

    @property
    def position(self) -> int:
        """How many samples per channel have been read or stepped over."""
        return self._position

    def seek(self, frame: int) -> None:
        """Go on reading from `frame`; only forwards."""
        if self._decoder.seek(frame):
            self._position = frame
            return
        while self._position < frame and not self._ended:
            self.read(min(_BLOCK, frame - self._position))

    def read(self, frames: int) -> Samples:
        """The next `[channels, frames]`, fewer at the end of the recording, none behind it.

        Raises `AudioError` when the file holds less than its header promised, or NaN or infinity.
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
        info, held = self.info, self._position / self.info.sample_rate
        promised = info.format == "FLAC" or (info.exact and not info.subtype.startswith("MPEG"))
        if promised and self._position < info.frames:
            raise AudioError(
                f"{info.path}: cut short: its header promises {info.seconds:.3f} s, it holds {held:.3f} s"
            )
        if self._position == 0:
            raise AudioError(f"{info.path}: there are no samples in it")

    def rest(self) -> Samples:
        """All that has not been read yet."""
        info = self.info
        first = self.read(info.frames - self._position if info.exact else _BLOCK)
        blocks = [first, *self.blocks(_BLOCK)]
        return first if len(blocks) == 1 else np.concatenate(blocks, axis=1)

    def blocks(self, frames: int) -> Iterator[Samples]:
        """The rest of the recording in blocks of `frames`, the last one shorter."""
        while (block := self.read(frames)).shape[1]:
            yield block


@contextmanager
def open_reader(path: Path | str | bytes, *, headers_only: bool = False) -> Iterator[Reader]:
    """Open a recording for reading in blocks; see `probe` for what is refused."""
    path = as_path(path)
    with ExitStack() as stack:
        decoder = stack.enter_context(_decoder(path, stack.enter_context(_opened(path)), headers_only))
        if decoder.exact and decoder.frames == 0:
            raise AudioError(f"{path}: there are no samples in it")
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
    """Rate, channels, length and format of a recording, without decoding it; the length may be an estimate.

    Raises `AudioError`, naming the file, when it is missing, unreadable, empty, cut short or not audio.
    """
    with open_reader(path) as reader:
        return reader.info


def measure(path: Path | str | bytes) -> AudioInfo:
    """`probe` with an exact length, for which the recording is decoded where its header does not tell.

    Raises as `probe` and `read` do.
    """
    path = as_path(path)
    try:
        found = path.stat()
    except OSError:
        return probe(path)  # says what is wrong
    return _measured(path, found.st_size, found.st_mtime_ns)


@lru_cache(4096)
def _measured(path: Path, size: int, time: int) -> AudioInfo:  # noqa: ARG001 # of which state of the file
    with open_reader(path) as reader:
        if reader.info.exact:
            return reader.info
        frames = sum(block.shape[1] for block in reader.blocks(_BLOCK))
        return replace(reader.info, frames=frames, exact=True, notes=reader.notes)


def read(
    path: Path | str | bytes, *, sample_rate: int | None = None, start: int = 0, frames: int = -1
) -> tuple[Samples, int]:
    """Decode a recording, or `frames` of it from frame `start` on, both counted at the file's own rate.

    Returns `[channels, n]` float32 and its rate: `sample_rate` where given (then resampled, soxr HQ), else
    the file's own. At the end of the file there may be fewer samples than asked for. Raises as `probe` does,
    and `AudioError` for NaN or infinity, or a start outside the recording.
    """
    if sample_rate is not None:
        check_rate(sample_rate)
    path = as_path(path)
    with open_reader(path) as reader:
        info = reader.info
        if start < 0 or (info.exact and start >= info.frames):
            raise AudioError(f"{path}: cannot start at sample {start}: it holds {info.frames}")
        if start:
            reader.seek(start)
        samples = reader.rest() if frames < 0 else reader.read(frames)
        if start and frames and not samples.shape[1]:
            raise AudioError(f"{path}: cannot start at sample {start}: it holds {reader.position}")
    rate = info.sample_rate if sample_rate is None else sample_rate
    return resample(samples, info.sample_rate, rate), rate


@contextmanager
def _decoder(path: Path, handle: BinaryIO, headers_only: bool) -> Iterator[Decoder]:
    """Look into the file, then open it."""
    foreign = ffmpeg.is_foreign(handle)
    made = ReadPlan() if foreign else plan(handle, headers_only=headers_only)
    lacking = missing_bytes(handle)
    if lacking or made.fault:
        raise AudioError(
            f"{path}: cut short: {made.fault or f'{lacking} bytes that it promises are missing at its end'}"
        )
    if foreign:
        with closing(ffmpeg.FfmpegDecoder(path)) as decoder:
            yield decoder
        return
    with ExitStack() as stack:
        yield stack.enter_context(_first_that_reads(path, handle, made))


def _first_that_reads(path: Path, handle: BinaryIO, made: ReadPlan) -> AbstractContextManager[Decoder]:
    decoder: SndfileDecoder | None
    try:
        decoder = SndfileDecoder(path, handle, made)
    except UndecodableError as error:
        decoder = _behind_junk(path, handle)
        if decoder is None:
            return _by_ffmpeg(path, handle, error)
    if decoder.format == "MP3" and made.of != "mpeg":
        decoder.close()
        decoder = SndfileDecoder(path, handle, mpeg_plan(handle))
    if made.of != "joined" and (more := left_over(handle)):
        decoder.notes.append(f"{more} bytes behind the samples that its header states were not read")
    return closing(decoder)


def _by_ffmpeg(path: Path, handle: BinaryIO, fault: AudioError) -> AbstractContextManager[Decoder]:
    """What libsndfile refuses for a fault, and ffmpeg may know."""
    if not ffmpeg.holds_media(path, handle):
        raise fault
    try:
        return closing(ffmpeg.FfmpegDecoder(path))
    except AudioError:
        if path.suffix.lower() in FORMATS:
            raise fault from None
        raise


def _behind_junk(path: Path, handle: BinaryIO) -> SndfileDecoder | None:
    """MPEG audio behind bytes that hide it from libsndfile."""
    if path.suffix.lower() in (".mp3", ".mp2"):
        made = mpeg_plan(handle)
        if made.parts:
            return SndfileDecoder(path, handle, made)
    return None


@contextmanager
def _opened(path: Path) -> Iterator[BinaryIO]:
    """Open a file, and say what libsndfile would call 'System error' or 'Format not recognised'."""
    try:
        if not stat.S_ISREG(path.stat().st_mode) and not path.is_dir():
            raise AudioError(f"{path}: this is no regular file; pipe it into `stillwave enhance -`")
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
