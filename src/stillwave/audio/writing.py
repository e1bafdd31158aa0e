"""Write recordings, whole or in blocks, atomically.

- *Level*: samples are never rescaled.
- *Overs*: floating-point formats and lossy codecs keep values beyond ±1; integer formats clip them at full scale, and
  the number of clipped values is reported.
- *Dither*: none. Integers are rounded to the nearest step, so that samples that were read are written back bit for bit
  and silence stays silent. At 16 bits the error is about −101 dBFS.
- *Bytes*: the same samples and tags give the same bytes.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import soundfile
from numpy.typing import NDArray

from stillwave.audio import bitrate, metadata
from stillwave.audio.contract import Samples, check, check_channels, check_finite, check_rate
from stillwave.audio.formats import INTEGER_BITS, check_format, subtype_for
from stillwave.audio.metadata import Extras
from stillwave.audio.ogg import number_streams
from stillwave.errors import KEPT, AudioError
from stillwave.files import as_path, atomic_file, native

_LARGEST_WAV = 2**32 - 2**16
"""Bytes of samples in a WAV file with 32-bit sizes, less room for the header."""
_AT_ONCE = 2**15
"""Samples per channel in one call of libsndfile: its Vorbis encoder overruns the stack with millions."""
_ADD_PEAK_CHUNK = 0x1050
"""SFC_SET_ADD_PEAK_CHUNK of sndfile.h."""
_BYTES = {"PCM_U8": 1, "PCM_S8": 1, "PCM_16": 2, "PCM_24": 3, "PCM_32": 4, "FLOAT": 4, "DOUBLE": 8}


@dataclass(frozen=True)
class WriteReport:
    """Properties of a written file: `peak` is the largest absolute sample, `clipped` the number of clipped values."""

    path: Path
    sample_rate: int
    channels: int
    frames: int
    format: str
    subtype: str
    peak: float
    clipped: int
    lost_tags: tuple[str, ...] = ()
    """Names of metadata that the format cannot store."""


@dataclass(frozen=True)
class Kept:
    """What is kept of a source beside samples and tags, if the output format can store it."""

    extras: Extras | None = None
    """Metadata of the source; copied from WAV to WAV and from FLAC to FLAC."""
    mask: int | None = 0
    """Channel mask of wav and flac: 0 for none, None for that of the source's comments."""
    kbps: float | None = None
    """Least bit rate of mp3 and opus, in kbit/s, up to their maximum."""


class SampleCounter:
    """Checks and counts the samples that are written to a file."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._frames = self._clipped = 0
        self._peak = 0.0
        self._lost: tuple[str, ...] = ()

    def lost(self, names: Iterable[str]) -> None:
        """Record names of metadata that the format cannot store."""
        self._lost += tuple(names)

    def _count(self, samples: Samples, clips: bool) -> None:
        """Count `[channels, n]`, which the sample format `clips` at full scale or not."""
        check_finite(samples, f"{self._path}: samples to write", self._frames)
        self._peak = max(self._peak, float(samples.max()), -float(samples.min()))
        self._clipped += int(np.count_nonzero(np.abs(samples) > 1)) if clips else 0

    def _report(self, rate: int, channels: int, form: str, subtype: str) -> WriteReport:
        counts = (self._frames, form, subtype, self._peak, self._clipped, self._lost)
        return WriteReport(self._path, rate, channels, *counts)


class Writer(SampleCounter):
    """An open recording that is written sequentially. Made by `open_writer`."""

    def __init__(self, path: Path, file: soundfile.SoundFile) -> None:
        super().__init__(path)
        self._file = file

    def tag(self, tags: Mapping[str, str]) -> None:
        """Set tags, before the first samples."""
        for name, value in tags.items():
            if not value:  # ID3v1 stores empty tags too
                continue
            try:
                setattr(self._file, name, value)
            except soundfile.LibsndfileError:
                self._lost += (name,)

    def write(self, samples: Samples) -> None:
        """Append `[channels, n]`, float32."""
        if samples.shape[1] == 0:
            return
        bits = INTEGER_BITS.get(self._file.subtype)
        self._count(samples, clips=bool(bits))
        for start in range(0, samples.shape[1], _AT_ONCE):
            part = samples[:, start : start + _AT_ONCE]
            self._file.write(np.ascontiguousarray((quantise(part, bits) if bits else part).T))
        self._frames += samples.shape[1]

    @property
    def report(self) -> WriteReport:
        """The report on what has been written."""
        file = self._file
        return self._report(file.samplerate, file.channels, file.format, file.subtype)


@contextmanager
def open_writer(
    path: Path | str | bytes,
    rate: int,
    channels: int,
    *,
    subtype: str | None = None,
    tags: Mapping[str, str] | None = None,
    frames: int | None = None,
    overwrite: bool = True,
    kept: Kept | None = None,
) -> Iterator[Writer]:
    """Write a recording block by block; the file appears when the `with` block ends without an exception.

    Args:
        path: Path of the file. The suffix selects the format (`formats.FORMATS`).
        rate: Sampling rate in Hz.
        channels: Number of channels.
        subtype: Sample format; by default that of the format, 16 bits for wav and flac.
        tags: Title, artist, comment and other tags.
        frames: Samples per channel, if known: a WAV file of more than 4 GB is written as RF64.
        overwrite: Replace an existing file, including one that another process has written in the meantime.
        kept: What to keep of a source beside samples and tags.

    Raises:
        AudioError: The format cannot store the samples, the file exists, or it cannot be written.

    """
    path = as_path(path)
    rate = check_rate(rate, f"{path}: sample rate")
    channels = check_channels(channels, str(path))
    subtype = subtype or subtype_for(path)
    form = check_format(path, subtype, rate, channels)
    size = (frames or 0) * channels * _BYTES.get(subtype, 0)
    name = "RF64" if form.name == "WAV" and size > _LARGEST_WAV else form.name
    kept = kept or Kept()
    # Copied metadata includes the tags.
    copied = kept.extras is not None and kept.extras.same_kind(name)
    if not overwrite:
        refuse_existing(path)
    with translated(path), atomic_file(path, replace=overwrite) as temporary:
        quality = bitrate.settings(subtype, rate, channels, kept.kbps)
        sort = "WAVEX" if name == "WAV" and kept.mask else name
        with soundfile.SoundFile(
            native(temporary), "w", rate, channels, subtype, format=sort, **quality
        ) as file:
            _leave_out_peaks(file)
            writer = Writer(path, file)
            writer.tag({} if copied else tags or {})
            yield writer
        writer.lost(_finish(temporary, name, rate, kept))
        if form.name == "OGG":
            number_streams(temporary)
        _check_written(temporary, writer.report)


def _finish(path: Path, name: str, rate: int, kept: Kept) -> tuple[str, ...]:
    """Add to a closed file what libsndfile cannot write; return the names of what is lost."""
    lost: tuple[str, ...] = ()
    if kept.extras is not None:
        lost = metadata.carry(kept.extras, path, name, rate, kept.mask)
    if kept.mask and name in ("WAV", "RF64"):
        metadata.riff.set_channel_mask(path, kept.mask)
    elif kept.mask and name == "FLAC" and not (kept.extras and kept.extras.same_kind(name)):
        metadata.flac.state_channel_mask(path, kept.mask)
    return lost


def write(
    path: Path | str | bytes,
    samples: Samples,
    rate: int,
    *,
    subtype: str | None = None,
    tags: Mapping[str, str] | None = None,
) -> WriteReport:
    """Write samples to a file, atomically; folders above it are created.

    Args:
        path: Path of the file. The suffix selects the format (`formats.FORMATS`).
        samples: `[channels, n]` or `[n]`, of a type that `check` accepts.
        rate: Sampling rate in Hz.
        subtype: Sample format; by default that of the format, 16 bits for wav and flac.
        tags: Title, artist, comment and other tags.

    Raises:
        AudioError: As `open_writer` and `check`.

    """
    path = as_path(path)
    rows = check(samples, f"{path}: samples to write")
    with open_writer(path, rate, len(rows), subtype=subtype, tags=tags, frames=rows.shape[1]) as writer:
        writer.write(rows)
    return writer.report


def _leave_out_peaks(file: soundfile.SoundFile) -> None:
    """Turn off the PEAK chunk, which holds the time of writing, for formats to which libsndfile adds one.

    For other formats (RF64) the same call turns it on.
    """
    if file.format in ("WAV", "WAVEX", "AIFF", "CAF") and file.subtype in ("FLOAT", "DOUBLE"):
        soundfile._snd.sf_command(file._file, _ADD_PEAK_CHUNK, soundfile._ffi.NULL, 0)


def refuse_existing(path: Path) -> None:
    """Raise AudioError if the path exists."""
    if os.path.lexists(path):
        raise AudioError(f"{path}: {KEPT}")


def quantise(samples: Samples, bits: int) -> NDArray[np.int32]:
    """Return samples rounded to the nearest step of `bits`, in the upper bits of 32.

    libsndfile's conversion from float rounds down for WAV, which is an offset of half a step.
    """
    full = 2 ** (bits - 1)
    steps = np.rint(samples.astype(np.float64) * full).clip(-full, full - 1)
    shifted: NDArray[np.int32] = steps.astype(np.int32) << np.int32(32 - bits)
    return shifted


def _check_written(path: Path, report: WriteReport) -> None:
    """Check the length: libsndfile reports no error for a disk that is full when it closes the file."""
    if report.frames == 0:
        raise AudioError(f"{report.path}: has no samples to write")
    found = soundfile.info(native(path)).frames
    if found != report.frames:
        raise AudioError(
            f"{report.path}: only {found} of {report.frames} samples could be written; is the disk full?"
        )


@contextmanager
def translated(path: Path) -> Iterator[None]:
    """Raise errors of the file system and of libsndfile as `AudioError`."""
    try:
        yield
    except (FileExistsError, NotADirectoryError):
        if path.parent.is_dir():
            refuse_existing(path)
        raise AudioError(f"{path}: cannot be written: {path.parent} is not a folder") from None
    except OSError as error:
        raise AudioError(f"{path}: cannot be written: {error.strerror or error}") from None
    except soundfile.LibsndfileError as error:
        fault = error.error_string.strip().rstrip(".")
        raise AudioError(f"{path}: cannot be written: {fault}; is the disk full?") from None
    except AssertionError:
        # Raised by soundfile if libsndfile did not write all samples.
        raise AudioError(f"{path}: cannot be written completely; is the disk full?") from None
