"""A cache of decoded and resampled recordings on disk.

PCM files at the wanted rate are read in place. Others (compressed, or at another rate) are decoded on first use into
a file of 16-bit samples, mono, at the target rate, of which only the needed part is read. The name is a hash of path,
size, modification time, rate and channel, so that a changed recording is decoded again. Files are written atomically,
so that processes may share a folder, but not synced to the disk, which would double the time: the header states the
length, and a file of another length is decoded again.

Of several channels the first is used: the delays between microphones would colour their sum.
"""

from __future__ import annotations

import hashlib
import os
import random
import struct
from collections.abc import Iterable
from dataclasses import dataclass
from itertools import chain
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from stillwave.audio import Resampler, Samples, open_reader
from stillwave.console import in_threads
from stillwave.data.manifest import Recording
from stillwave.errors import AudioError
from stillwave.files import atomic_file
from stillwave.schema import SAMPLE_RATE

_IN_PLACE = frozenset((".wav", ".aiff", ".aif", ".w64", ".rf64", ".caf"))
_BLOCK = 2**17
_FULL = np.float32(32768)
_HEADER = struct.Struct("<8sQ")
"""Magic and the number of samples that follow."""
_MAGIC = b"stillwv1"


def default_folder() -> Path:
    """Return `$XDG_CACHE_HOME/stillwave/audio`, by default in `~/.cache`."""
    base = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(base) / "stillwave" / "audio"


class CacheError(AudioError):
    """Decoded audio cannot be written: a fault of the cache folder, not of a recording."""


@dataclass(frozen=True)
class CachedClip:
    """A recording, mono and at the rate of the cache, of which any part can be read."""

    path: Path
    """Path of the decoded file, or of the recording if it is read in place."""
    frames: int
    dtype: str | None
    """Type of the decoded samples; None if the recording is read in place."""

    def read(self, start: int = 0, frames: int = -1) -> Samples:
        """Read samples `[n]`, float32, from `start`; fewer than `frames` at the end. −1 reads to the end."""
        frames = max(0, self.frames - start) if frames < 0 else frames
        if self.dtype is None:
            with open_reader(self.path) as reader:
                if start:
                    reader.seek(start)
                first: Samples = reader.read(frames)[0]
                return first
        frames = max(0, min(frames, self.frames - start))
        offset = _HEADER.size + start * np.dtype(self.dtype).itemsize
        found: npt.NDArray[Any] = np.fromfile(self.path, self.dtype, frames, offset=offset)
        samples: Samples = np.asarray(found, np.float32)
        if self.dtype == "<i2":
            samples /= _FULL
        return samples


class DecodedAudioCache:
    """Recordings, decoded on first use into `folder` (by default `default_folder()`) at `rate` Hz."""

    def __init__(self, folder: Path | str | None = None, rate: int = SAMPLE_RATE) -> None:
        self.folder = Path(folder) if folder is not None else default_folder()
        self.rate = rate

    def open(self, recording: Recording) -> CachedClip:
        """Return the first channel of a recording.

        Raises AudioError if it cannot be decoded, CacheError if the folder cannot be written.
        """
        path = recording.path
        if self._in_place(recording):
            with open_reader(path) as reader:
                if reader.info.exact and reader.info.sample_rate == self.rate:
                    return CachedClip(path, reader.info.frames, None)
        return self._decoded(path, 0, "<i2")

    def _in_place(self, recording: Recording) -> bool:
        return recording.path.suffix.lower() in _IN_PLACE and recording.sample_rate == self.rate

    def response(self, recording: Recording, channel: int = 0) -> Samples:
        """Read one channel of an impulse response, `[n]`, stored as float32: its tail is far below its peak."""
        return self._decoded(recording.path, channel, "<f4").read()

    def prepare(self, recordings: Iterable[Recording], jobs: int | None = None) -> None:
        """Decode in parallel what is not in the cache yet, with a progress bar.

        Threads suffice: 73 to 88 % of the time is spent in libsndfile, which releases the interpreter lock. Each
        process has its own order, so that runs that start together share the work. Recordings that cannot be read
        raise an error in the example that uses them. Raises CacheError.
        """
        distinct = {r.path: r for r in recordings if not self._in_place(r)}
        waiting = [recording for recording in distinct.values() if self._waits(recording)]
        if not waiting:
            return
        random.Random(os.getpid()).shuffle(waiting)
        in_threads(self._try_open, waiting, "decode", jobs)

    def _waits(self, recording: Recording) -> bool:
        try:
            return _stored_frames(self._target(recording.path, 0, "<i2"), "<i2") is None
        except AudioError:
            return False

    def _try_open(self, recording: Recording) -> None:
        try:
            self.open(recording)
        except CacheError:
            raise
        except AudioError:
            return

    def _decoded(self, path: Path, channel: int, dtype: str) -> CachedClip:
        target = self._target(path, channel, dtype)
        frames = _stored_frames(target, dtype)
        if frames is None:
            self._decode(path, channel, dtype, target)
            frames = _stored_frames(target, dtype)
            if frames is None:
                raise CacheError(
                    f"{self.folder}: decoded audio was deleted while in use; set data.cache to another folder"
                )
        return CachedClip(target, frames, dtype)

    def _target(self, path: Path, channel: int, dtype: str) -> Path:
        try:
            stat = os.stat(path)  # noqa: PTH116 # called for every draw; pathlib takes twice as long
        except OSError as error:
            raise AudioError(f"{path}: cannot be read: {error.strerror or error}") from None
        key = f"{path}\0{stat.st_size}\0{stat.st_mtime_ns}\0{self.rate}\0{channel}\0{dtype}"
        name = hashlib.sha256(key.encode("utf-8", "surrogateescape")).hexdigest()[:40]
        return self.folder / name[:2] / f"{name}.{'i16' if dtype == '<i2' else 'f32'}"

    def _decode(self, path: Path, channel: int, dtype: str, target: Path) -> None:
        try:
            with atomic_file(target, sync=False) as temporary:
                peak = self._write(path, channel, dtype, temporary, 1.0)
                if peak > 1 and dtype == "<i2":
                    # Floats and lossy codecs may exceed full scale: scaled instead of clipped.
                    self._write(path, channel, dtype, temporary, 0.999 / peak)
        except OSError as error:
            raise CacheError(
                f"{self.folder}: decoded audio cannot be written ({error.strerror or error}); "
                "free some space, or set data.cache to another folder"
            ) from None

    def _write(self, path: Path, channel: int, dtype: str, target: Path, gain: float) -> float:
        """Decode in blocks; return the peak before the gain."""
        peak = 0.0
        with open_reader(path) as reader, target.open("wb") as handle:
            info = reader.info
            if channel >= info.channels:
                raise AudioError(f"{path}: has {info.channels} channels, so there is no channel {channel}")
            resampler = Resampler(info.sample_rate, self.rate, 1)
            handle.write(_HEADER.pack(_MAGIC, 0))
            written = 0
            end = np.zeros((info.channels, 0), np.float32)  # flushes the resampler
            for block in chain(reader.blocks(_BLOCK), [end]):
                samples = resampler.push(block[channel : channel + 1], last=block is end)[0]
                peak = max(peak, float(np.abs(samples).max(initial=0)))
                handle.write(_encode(samples * np.float32(gain), dtype))
                written += len(samples)
            handle.seek(0)
            handle.write(_HEADER.pack(_MAGIC, written))
        return peak


def _encode(samples: Samples, dtype: str) -> bytes:
    if dtype == "<i2":
        samples = np.rint(samples * _FULL).clip(-_FULL, _FULL - 1)
    return bytes(samples.astype(dtype).tobytes())


def _stored_frames(path: Path, dtype: str) -> int | None:
    """Return the length of a decoded file; None if it is missing or incomplete."""
    try:
        with open(path, "rb", buffering=0) as handle:  # noqa: PTH123 # as above
            head = handle.read(_HEADER.size)
            size = os.fstat(handle.fileno()).st_size
    except OSError:
        return None
    if len(head) < _HEADER.size:
        return None
    magic, frames = _HEADER.unpack(head)
    is_complete = magic == _MAGIC and size == _HEADER.size + frames * np.dtype(dtype).itemsize
    return int(frames) if is_complete else None
