"""Decode files with libsndfile, or with ffmpeg (`ffmpeg/reading.py`) those that it cannot read."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import AbstractContextManager, ExitStack, closing, contextmanager
from pathlib import Path
from typing import Any, BinaryIO, Protocol

import numpy as np
import soundfile
from numpy.typing import NDArray

from stillwave.audio import ffmpeg
from stillwave.audio.contract import narrowed
from stillwave.audio.formats import FORMATS
from stillwave.audio.integrity import left_over, missing_bytes
from stillwave.audio.parts import ReadPlan, mpeg_plan, plan
from stillwave.errors import AudioError
from stillwave.files import native

_INEXACT_SEEK = ("VORBIS", "MPEG_LAYER_I", "MPEG_LAYER_II", "MPEG_LAYER_III")
"""Formats that are decoded from the start instead of seeking: libsndfile 1.2.2 returns other samples after a seek
(Vorbis in the last pages; MP3 without its bit reservoir). Opus converges to within 1e-3 at once."""
_UNKNOWN = 2**62
"""libsndfile reports more samples than this for an unknown length."""

Block = NDArray[np.float32]


class UndecodableError(AudioError):
    """libsndfile cannot read this file."""


def cut_short(path: Path, what: str) -> AudioError:
    """Return the error for a file of which `what` is missing."""
    rest = "copy it again, or keep what is left of it with: ffmpeg -i FILE rest.wav"
    return AudioError(f"{path}: cut short: {what}; {rest}")


class Decoder(Protocol):
    """Decodes an open file sequentially."""

    rate: int
    channels: int
    frames: int
    """Samples per channel before decoding; 0 for unknown."""
    exact: bool
    """Whether `frames` is the decoded length."""
    format: str
    subtype: str
    tags: Mapping[str, str]
    layout: str
    kbps: float | None
    notes: list[str]
    """Remarks for the user; decoding may add some."""

    def read(self, frames: int) -> Block:
        """Return the next `[frames, channels]`; fewer only at the end."""
        ...

    def seek(self, frame: int) -> bool:
        """Continue at `frame`; return False if that needs decoding."""
        ...


class _Sequential(soundfile.SoundFile):  # type: ignore[misc]
    """A `SoundFile` without soundfile's seek after each read, which breaks MP3 at block borders."""

    def seekable(self) -> bool:
        return False


class SndfileDecoder:
    """Decodes a file, or parts of it in sequence, by the plan of `parts.plan`."""

    layout = ""
    kbps: float | None = None

    def __init__(self, path: Path, handle: BinaryIO, plan: ReadPlan) -> None:
        self._path, self._handle, self._plan = path, handle, plan
        self._part = 0
        self._file = self._open(0)
        file = self._file
        self.rate, self.channels = file.samplerate, file.channels
        self.format, self.subtype = file.format, file.subtype
        self.tags: Mapping[str, str] = file.copy_metadata()
        self.notes = list(plan.notes)
        self.frames, known = self._count()
        self._left = plan.limit
        if plan.limit is not None:
            self.frames = min(self.frames, plan.limit)
        self.exact = known and plan.exact and not (self.subtype.startswith("MPEG") and plan.of != "mpeg")

    def _open(self, index: int) -> Any:
        with translated(self._path):
            if not self._plan.parts:
                return _Sequential(native(self._path))
            return _Sequential(self._plan.parts[index].view(self._handle))

    def _count(self) -> tuple[int, bool]:
        """Return the samples of all parts and whether all are known. Raises `AudioError` if their formats differ."""
        frames = [self._stated(self._file, 0)]
        for index in range(1, len(self._plan.parts)):
            with self._open(index) as file:
                if (file.samplerate, file.channels) != (self.rate, self.channels):
                    raise AudioError(
                        f"{self._path}: its parts differ: {self.rate} Hz and {self.channels} channel(s), then "
                        f"{file.samplerate} Hz and {file.channels}; cut it into recordings of one format"
                    )
                frames.append(self._stated(file, index))
        if len(frames) > 1:
            self.notes.append(f"consists of {len(frames)} recordings, which are read in sequence")
        return sum(count or 0 for count in frames), None not in frames

    def _stated(self, file: Any, index: int) -> int | None:
        known = self._plan.parts[index].frames if self._plan.parts else None
        if known is not None:
            return known
        return None if file.frames >= _UNKNOWN else int(file.frames)

    def read(self, frames: int) -> Block:
        """Return the next `[frames, channels]`; fewer only at the end."""
        if self._left is not None:
            frames = min(frames, self._left)
            self._left -= frames
        blocks = []
        while True:
            with translated(self._path):
                block = self._block(frames)
            blocks.append(block)
            frames -= len(block)
            if not frames or self._part + 1 >= len(self._plan.parts):
                return blocks[0] if len(blocks) == 1 else np.concatenate(blocks)
            self._part += 1
            self._file.close()
            self._file = self._open(self._part)

    def _block(self, frames: int) -> Block:
        wide = self.subtype == "DOUBLE"
        block = self._file.read(frames, dtype="float64" if wide else "float32", always_2d=True)
        return narrowed(block) if wide else block

    def seek(self, frame: int) -> bool:
        """Continue at `frame`; return False if that needs decoding."""
        able = soundfile.SoundFile.seekable(self._file)  # GSM 6.10 and some kinds of ADPCM are not
        if not able or self.subtype in _INEXACT_SEEK or self._plan.parts or not self.exact:
            return False
        with translated(self._path):
            self._file.seek(frame)
        if self._plan.limit is not None:
            self._left = self.frames - frame
        return True

    def close(self) -> None:
        """Close the file."""
        self._file.close()


_PLAINER = {
    7: "it has no audio",
    24: "its header has no sampling rate",
    29: "its content is not of the format that its header states",
    158: "it is damaged or cut short",
}
"""Messages by libsndfile's error code, for codes whose own message misleads ("does not exist")."""


@contextmanager
def translated(path: Path) -> Iterator[None]:
    """Raise errors of libsndfile as `UndecodableError`."""
    try:
        yield
    except soundfile.LibsndfileError as error:
        fault = _PLAINER.get(error.code) or error.error_string.strip().rstrip(".")
        raise UndecodableError(f"{path}: cannot be decoded as audio: {fault}") from None


@contextmanager
def open_decoder(path: Path, handle: BinaryIO, headers_only: bool) -> Iterator[Decoder]:
    """Check an open file and open its decoder. Raises AudioError for a file that is cut short or cannot be decoded."""
    foreign = ffmpeg.is_foreign(handle)
    read_plan = ReadPlan() if foreign else plan(handle, headers_only=headers_only)
    missing = missing_bytes(handle)
    if missing or read_plan.fault:
        raise cut_short(path, read_plan.fault or f"{missing} bytes are missing at its end")
    if foreign:
        with closing(ffmpeg.FfmpegDecoder(path)) as decoder:
            yield decoder
        return
    with ExitStack() as stack:
        yield stack.enter_context(_first_that_reads(path, handle, read_plan))


def _first_that_reads(path: Path, handle: BinaryIO, read_plan: ReadPlan) -> AbstractContextManager[Decoder]:
    decoder: SndfileDecoder | None
    try:
        decoder = SndfileDecoder(path, handle, read_plan)
    except UndecodableError as error:
        decoder = _after_other_bytes(path, handle)
        if decoder is None:
            return _by_ffmpeg(path, handle, error)
    if decoder.format == "MP3" and read_plan.of != "mpeg":
        decoder.close()
        decoder = SndfileDecoder(path, handle, mpeg_plan(handle))
    if read_plan.of != "joined" and (more := left_over(handle)):
        decoder.notes.append(f"{more} bytes after the samples that its header states were not read")
    return closing(decoder)


def _by_ffmpeg(path: Path, handle: BinaryIO, fault: AudioError) -> AbstractContextManager[Decoder]:
    """Open with ffmpeg a file that libsndfile cannot read, or raise `fault`."""
    if not ffmpeg.holds_media(path, handle):
        raise fault
    try:
        return closing(ffmpeg.FfmpegDecoder(path))
    except AudioError:
        if path.suffix.lower() in FORMATS:
            raise fault from None
        raise


def _after_other_bytes(path: Path, handle: BinaryIO) -> SndfileDecoder | None:
    """Open MPEG audio that follows bytes of another kind."""
    if path.suffix.lower() in (".mp3", ".mp2"):
        read_plan = mpeg_plan(handle)
        if read_plan.parts:
            return SndfileDecoder(path, handle, read_plan)
    return None
