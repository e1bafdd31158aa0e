"""Reading recordings: whole, in part, or block by block in constant memory."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import soundfile

from stillwave.audio.contract import Samples, check_finite, check_rate
from stillwave.audio.integrity import missing_bytes
from stillwave.audio.resampling import resample
from stillwave.errors import AudioError
from stillwave.files import native

_INEXACT_SEEK = ("VORBIS", "MPEG_LAYER_I", "MPEG_LAYER_II", "MPEG_LAYER_III")
"""After a seek, libsndfile 1.2.2 gives other samples here (Vorbis: in the last pages; MP3: the bit reservoir
is lost), so that these are decoded from the start instead. Opus converges to within 1e-3 at once."""
_SKIP = 2**18
"""Frames decoded at once on the way."""


class _Sequential(soundfile.SoundFile):  # type: ignore[misc]
    """soundfile seeks after every read of a seekable file, which breaks MP3 at each block; not this one."""

    def seekable(self) -> bool:
        return False


@dataclass(frozen=True)
class AudioInfo:
    """What a file's header says. `format` and `subtype` as libsndfile names them; `frames` per channel."""

    path: Path
    sample_rate: int
    channels: int
    frames: int
    format: str
    subtype: str
    tags: Mapping[str, str] = field(default_factory=dict)
    """Title, artist, comment and the like."""

    @property
    def seconds(self) -> float:
        """Duration."""
        return self.frames / self.sample_rate


class Reader:
    """An open recording that is read from front to back."""

    def __init__(self, info: AudioInfo, file: soundfile.SoundFile) -> None:
        self.info = info
        self._file = file
        self._position = 0

    def seek(self, frame: int) -> None:
        """Go on reading from `frame`; only forwards."""
        if self.info.subtype in _INEXACT_SEEK:
            while self._position < frame:
                self.read(min(_SKIP, frame - self._position))
            return
        with _translated(self.info.path):
            self._file.seek(frame)
        self._position = frame

    def read(self, frames: int) -> Samples:
        """The next `[channels, frames]`, fewer at the end of the recording, none behind it.

        Raises `AudioError` when the file holds less than its header promised, or NaN or infinity.
        """
        info = self.info
        wanted = max(0, min(frames, info.frames - self._position))
        with _translated(info.path):
            found = self._file.read(wanted, dtype="float32", always_2d=True)
        if len(found) < wanted:
            held = (self._position + len(found)) / info.sample_rate
            raise AudioError(
                f"{info.path}: cut short: its header promises {info.seconds:.3f} s, it holds {held:.3f} s"
            )
        samples = check_finite(np.ascontiguousarray(found.T), str(info.path), self._position)
        self._position += wanted
        return samples

    def blocks(self, frames: int) -> Iterator[Samples]:
        """The rest of the recording in blocks of `frames`, the last one shorter."""
        while self._position < self.info.frames:
            yield self.read(frames)


@contextmanager
def open_reader(path: Path | str) -> Iterator[Reader]:
    """Open a recording for reading in blocks; see `probe` for what is refused."""
    path = Path(path)
    _check_file(path)
    with _translated(path):
        file = _Sequential(native(path))
    with file:
        yield Reader(_describe(path, file), file)


def probe(path: Path | str) -> AudioInfo:
    """Rate, channels, length and format of a recording, without decoding it.

    Raises `AudioError`, naming the file, when it is missing, unreadable, empty, cut short or not audio.
    """
    with open_reader(path) as reader:
        return reader.info


def read(
    path: Path | str, *, sample_rate: int | None = None, start: int = 0, frames: int = -1
) -> tuple[Samples, int]:
    """Decode a recording, or `frames` of it from frame `start` on, both counted at the file's own rate.

    Returns `[channels, n]` float32 and its rate: `sample_rate` where given (then resampled, soxr HQ), else
    the file's own. At the end of the file there may be fewer samples than asked for. Raises as `probe` does,
    and `AudioError` for NaN or infinity, or a start outside the recording.
    """
    if sample_rate is not None:
        check_rate(sample_rate)
    with open_reader(path) as reader:
        info = reader.info
        if not 0 <= start < info.frames:
            raise AudioError(f"{path}: cannot start at sample {start}: it holds {info.frames}")
        if start:
            reader.seek(start)
        samples = reader.read(info.frames if frames < 0 else frames)
    rate = info.sample_rate if sample_rate is None else sample_rate
    return resample(samples, info.sample_rate, rate), rate


def _describe(path: Path, file: soundfile.SoundFile) -> AudioInfo:
    if file.frames == 0:
        raise AudioError(f"{path}: there are no samples in it")
    return AudioInfo(
        path=path,
        sample_rate=check_rate(file.samplerate, f"{path}: sample rate"),
        channels=file.channels,
        frames=file.frames,
        format=file.format,
        subtype=file.subtype,
        tags=file.copy_metadata(),
    )


def _check_file(path: Path) -> None:
    """Say what libsndfile would call 'System error' or 'Format not recognised'."""
    try:
        with path.open("rb") as handle:
            if handle.seek(0, os.SEEK_END) == 0:
                raise AudioError(f"{path}: the file is empty")
            lacking = missing_bytes(handle)
    except FileNotFoundError:
        raise AudioError(f"{path}: there is no such file") from None
    except IsADirectoryError:
        raise AudioError(f"{path}: this is a folder, not a recording") from None
    except OSError as error:
        raise AudioError(f"{path}: cannot be read: {error.strerror or error}") from None
    if lacking:
        raise AudioError(f"{path}: cut short: {lacking} bytes that it promises are missing at its end")


@contextmanager
def _translated(path: Path) -> Iterator[None]:
    try:
        yield
    except soundfile.LibsndfileError as error:
        fault = error.error_string.strip().rstrip(".")
        raise AudioError(f"{path}: cannot be decoded as audio: {fault}") from None
