"""Writing recordings, whole or in blocks: atomic, at the same level, with one stated policy.

- *Level*: samples are never rescaled.
- *Overs*: floating-point formats and the lossy codecs keep values beyond ±1. Integer formats cannot: there
  they are clipped at full scale, counted, and reported.
- *Dither*: none. Integers are rounded to the nearest step, so that what was read is written back bit for bit
  and silence stays silent. At 16 bits the error is about −101 dBFS.
- *Bytes*: the same samples and tags give the same bytes whenever they are written.
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
from stillwave.audio.ogg_serials import number_streams
from stillwave.errors import KEPT, AudioError
from stillwave.files import as_path, atomic_file, native

_LARGEST_WAV = 2**32 - 2**16
"""Bytes of samples that WAV's 32-bit sizes hold, with room for the header."""
_AT_ONCE = 2**15
"""Frames handed to libsndfile at once: its Vorbis writer overruns the stack with some millions."""
_ADD_PEAK_CHUNK = 0x1050
"""SFC_SET_ADD_PEAK_CHUNK of sndfile.h, which soundfile does not name."""
_BYTES = {"PCM_U8": 1, "PCM_S8": 1, "PCM_16": 2, "PCM_24": 3, "PCM_32": 4, "FLOAT": 4, "DOUBLE": 8}


@dataclass(frozen=True)
class WriteReport:
    """What was written. `peak` is the largest absolute value given; `clipped` counts the values cut to ±1."""

    path: Path
    sample_rate: int
    channels: int
    frames: int
    format: str
    subtype: str
    peak: float
    clipped: int
    lost_tags: tuple[str, ...] = ()
    """Metadata that the format has no place for."""


@dataclass(frozen=True)
class Kept:
    """What of a source is kept beside its samples and tags, where the format of the output can hold it."""

    extras: Extras | None = None
    """What the source holds; copied from WAV to WAV and from FLAC to FLAC."""
    mask: int | None = 0
    """The channel mask that wav and flac state; 0 for none, None for what the source's own comments say."""
    kbps: float | None = None
    """The least bit rate of mp3 and opus, as far as they go."""


class Writer:
    """An open recording that is written from front to back. Made by `open_writer`."""

    def __init__(self, path: Path, file: soundfile.SoundFile) -> None:
        self._path = path
        self._file = file
        self._frames = 0
        self._peak = 0.0
        self._clipped = 0
        self._lost: tuple[str, ...] = ()

    def tag(self, tags: Mapping[str, str]) -> None:
        """Set metadata; only before the first samples."""
        for name, value in tags.items():
            if not value:  # ID3v1 has a place for each, filled or not
                continue
            try:
                setattr(self._file, name, value)
            except soundfile.LibsndfileError:
                self._lost += (name,)

    def lost(self, names: Iterable[str]) -> None:
        """Note what the format has no place for."""
        self._lost += tuple(names)

    def write(self, samples: Samples) -> None:
        """Append `[channels, n]`, float32."""
        if samples.shape[1] == 0:
            return
        check_finite(samples, f"{self._path}: samples to write", self._frames)
        self._peak = max(self._peak, float(samples.max()), -float(samples.min()))
        for start in range(0, samples.shape[1], _AT_ONCE):
            self._write(samples[:, start : start + _AT_ONCE])
        self._frames += samples.shape[1]

    def _write(self, samples: Samples) -> None:
        bits = INTEGER_BITS.get(self._file.subtype)
        if bits:
            self._clipped += int(np.count_nonzero(np.abs(samples) > 1))
            self._file.write(np.ascontiguousarray(_quantise(samples, bits).T))
        else:
            self._file.write(np.ascontiguousarray(samples.T))

    @property
    def report(self) -> WriteReport:
        """What has been written so far."""
        file = self._file
        return WriteReport(
            path=self._path,
            sample_rate=file.samplerate,
            channels=file.channels,
            frames=self._frames,
            format=file.format,
            subtype=file.subtype,
            peak=self._peak,
            clipped=self._clipped,
            lost_tags=self._lost,
        )


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
    """Write a recording block by block; it appears under its name when the block ends without an exception.

    The suffix gives the format (`formats.FORMATS`), `subtype` the sample format (by default the format's own,
    16 bits for wav and flac). `frames`, where known, lets a WAV file of more than 4 GB be written as RF64.
    Without `overwrite` a file that is there is left, also one that another process has made in the meantime.
    `kept` is what of a source is to be kept beside samples and tags.
    Raises `AudioError` for what the format cannot hold and for everything that the disk refuses.
    """
    path = as_path(path)
    rate = check_rate(rate, f"{path}: sample rate")
    channels = check_channels(channels, str(path))
    subtype = subtype or subtype_for(path)
    form = check_format(path, subtype, rate, channels)
    size = (frames or 0) * channels * _BYTES.get(subtype, 0)
    name = "RF64" if form.name == "WAV" and size > _LARGEST_WAV else form.name
    kept = kept or Kept()
    # Of the same kind, tags are among what is copied.
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
    """Put into a closed file what libsndfile has no place for; the names of what is lost."""
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
    """Write `[channels, n]` or `[n]` (see `check` for types) to `path`, atomically; parents are created.

    Raises as `open_writer` and `check` do.
    """
    path = as_path(path)
    rows = check(samples, f"{path}: samples to write")
    with open_writer(path, rate, len(rows), subtype=subtype, tags=tags, frames=rows.shape[1]) as writer:
        writer.write(rows)
    return writer.report


def _leave_out_peaks(file: soundfile.SoundFile) -> None:
    """Write no PEAK chunk: it holds the time of writing, and the same samples are to give the same bytes.

    Only where libsndfile adds one by itself: elsewhere (RF64), turning it off turns it on.
    """
    if file.format in ("WAV", "WAVEX", "AIFF", "CAF") and file.subtype in ("FLOAT", "DOUBLE"):
        soundfile._snd.sf_command(file._file, _ADD_PEAK_CHUNK, soundfile._ffi.NULL, 0)


def refuse_existing(path: Path) -> None:
    """Raise AudioError where something has this name already."""
    if os.path.lexists(path):
        raise AudioError(f"{path}: {KEPT}")


def _quantise(samples: Samples, bits: int) -> NDArray[np.int32]:
    """Round to the nearest step of `bits`, in the upper bits of 32.

    libsndfile's own conversion from float rounds down for WAV, an offset of half a step.
    """
    full = 2 ** (bits - 1)
    steps = np.rint(samples.astype(np.float64) * full).clip(-full, full - 1)
    shifted: NDArray[np.int32] = steps.astype(np.int32) << np.int32(32 - bits)
    return shifted


def _check_written(path: Path, report: WriteReport) -> None:
    """A disk that fills up while libsndfile writes its header on closing goes unnoticed otherwise."""
    if report.frames == 0:
        raise AudioError(f"{report.path}: there are no samples to write")
    found = soundfile.info(native(path)).frames
    if found != report.frames:
        raise AudioError(
            f"{report.path}: only {found} of {report.frames} samples could be written; is the disk full?"
        )


@contextmanager
def translated(path: Path) -> Iterator[None]:
    """What the disk or libsndfile refuses as `AudioError`."""
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
        # soundfile asserts that libsndfile took every sample.
        raise AudioError(f"{path}: cannot be written to the end; is the disk full?") from None
