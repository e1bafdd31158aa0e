"""Decode audio with ffmpeg through a pipe."""

from __future__ import annotations

import re
import struct
import subprocess
from collections.abc import Mapping
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from stillwave.audio.decoding import UndecodableError, cut_short
from stillwave.audio.ffmpeg.adts import ends_within_frame
from stillwave.audio.ffmpeg.program import Contents, FfmpegProcess, InputFile, MediaStream
from stillwave.errors import AudioError

_HEADER = struct.Struct(">4sIIIII")
"""Header of AU: magic, size of the header, size of the samples, encoding, rate, channels."""
_CUT = ("partial file", "ended prematurely")
"""Messages of ffmpeg's demuxers for truncated files."""
_ON_TIME = "aresample=async=1:first_pts=0:min_comp=0.02:min_hard_comp=0.1"
"""Insert silence for a late start and for gaps, so that the audio stays in sync with the video."""
_STATES_LENGTH = ("mov", "asf", "matroska", "wv", "tta", "ape", "mpc", "mpc8", "dsf")
"""Containers whose duration is not an estimate."""
_TOLERANCE = 0.5
"""Tolerance of such a duration, in seconds."""


class FfmpegDecoder:
    """Decodes the first audio track of a file sequentially. Always close it."""

    exact = False

    def __init__(self, path: Path) -> None:
        self._path = path
        options = [
            "-map",
            "0:a:0",
            "-vn",
            "-sn",
            "-dn",
            "-af",
            _ON_TIME,
            "-c:a",
            "pcm_f32be",
            "-f",
            "au",
            "pipe:1",
        ]
        self._process = FfmpegProcess(path, [InputFile(path), *options], stdout=subprocess.PIPE)
        try:
            self.rate, self.channels = self._header()
            self._contents = self._process.contents()
        except BaseException:
            self._process.close()
            raise
        first = self._contents.of("Audio")[0]
        self.frames = round(self._contents.seconds * self.rate)
        self.format = f"FFMPEG {self._contents.container.split(',')[0].upper()}"
        self.subtype = _subtype(first)
        self.tags: Mapping[str, str] = self._contents.tags
        self.layout = first.layout
        self.kbps: float | None = None if self.subtype in _EXACT else first.kbps
        self.notes = _notes(self._contents)
        self._given = 0

    def _header(self) -> tuple[int, int]:
        assert self._process.stdout is not None
        head = self._process.stdout.read(_HEADER.size)
        if len(head) < _HEADER.size:
            raise self._failure()
        _, size, _, _, rate, channels = _HEADER.unpack(head)
        self._process.stdout.read(size - _HEADER.size)
        return rate, channels

    def read(self, frames: int) -> NDArray[np.float32]:
        """Return the next `[frames, channels]`; fewer only at the end. Raises `AudioError` if it ends too early."""
        assert self._process.stdout is not None
        data = self._process.stdout.read(4 * self.channels * frames)
        samples = np.frombuffer(data, ">f4", len(data) // (4 * self.channels) * self.channels)
        self._given += len(samples) // self.channels
        if len(data) < 4 * self.channels * frames:
            self._check_end()
        return samples.astype(np.float32).reshape(-1, self.channels)

    def seek(self, frame: int) -> bool:  # noqa: ARG002
        """Return False: seeking is not supported."""
        return False

    def close(self) -> None:
        """End ffmpeg."""
        self._process.close()

    def _check_end(self) -> None:
        status = self._process.wait()
        errors = self._process.errors()
        decoded = self._given / self.rate
        if any(word in error for error in errors for word in _CUT) or self._is_short(decoded):
            stated = self._contents.seconds
            raise cut_short(self._path, f"has {decoded:.2f} s of the {stated:.2f} s of audio in its header")
        if status:
            raise self._failure()
        if errors:
            self.notes.append(
                f"ffmpeg reported {len(errors)} fault(s) while decoding, the first: {errors[0]}; "
                "it may be damaged or cut short"
            )
        elif self._contents.container == "aac" and ends_within_frame(self._path):
            self.notes.append("ends within a frame; it may have been cut short")

    def _is_short(self, seconds: float) -> bool:
        """Return whether the file is shorter than stated. Beside video, audio may end earlier."""
        found = self._contents
        known = found.container.split(",")[0] in _STATES_LENGTH and not found.of("Video")
        return known and seconds < found.seconds - _TOLERANCE

    def _failure(self) -> AudioError:
        self._process.wait()
        contents = self._process.contents()
        if contents.streams and not contents.of("Audio"):
            kinds = ", ".join(sorted({stream.kind.lower() for stream in contents.streams}))
            return UndecodableError(f"{self._path}: has no audio (only: {kinds})")
        return UndecodableError(f"{self._path}: cannot be decoded by ffmpeg: {self._process.first_error()}")


_EXACT = ("PCM_16", "PCM_24", "FLOAT")


def _subtype(stream: MediaStream) -> str:
    """Return libsndfile's name of the sample format for lossless codecs, else the name of the codec."""
    if stream.codec.startswith("pcm_f"):
        return "FLOAT"
    lossless = stream.codec.startswith("pcm_") or stream.codec in ("alac", "flac", "tta", "wavpack", "ape")
    if lossless:
        return "PCM_24" if re.search(r"24 bit|pcm_s(24|32)|\bs32p?(?! \()", stream.description) else "PCM_16"
    return stream.codec.upper()


def _notes(found: Contents) -> list[str]:
    tracks = len(found.of("Audio"))
    return [f"has {tracks} audio tracks, of which the first is read"] if tracks > 1 else []
