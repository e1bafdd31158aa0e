"""Enhance from file to file and from pipe to pipe, in constant memory."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Callable, Iterable, Iterator
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO

from stillwave.audio import (
    AudioInfo,
    Samples,
    Writer,
    measure,
    open_reader,
    open_writer,
    probe,
    silence_faults,
)
from stillwave.audio.ffmpeg import MediaWriter, is_media, open_encoder
from stillwave.audio.writing import refuse_existing
from stillwave.errors import AudioError
from stillwave.files import as_path
from stillwave.inference.output_properties import OutputProperties, find_output_properties

if TYPE_CHECKING:
    from stillwave.inference.enhancer import Enhancer

_BLOCK = 2**17
"""Frames that are read at once."""
_LARGE = 2**24
"""Size in bytes from which the decoded samples of a compressed file may exceed 4 GB."""


@dataclass(frozen=True)
class FileReport:
    """Facts about a written file. `peak` and `clipped` as in `audio.WriteReport`."""

    source: str
    target: str
    seconds: float
    sample_rate: int
    channels: int
    format: str
    subtype: str
    peak: float
    clipped: int
    lost_tags: tuple[str, ...] = ()
    """Metadata of the source that the target cannot hold."""
    source_rate: int = 0
    """Sampling rate of the source, in Hz."""
    notes: tuple[str, ...] = ()
    """Remarks for the user about reading the source."""
    version: str = ""
    """`original` or `enhanced`: what a guard chose; empty without one."""
    reason: str = ""
    """Why it was chosen."""


def enhance_file(
    enhancer: Enhancer,
    source: Path | str | bytes,
    target: Path | str | bytes,
    *,
    limit_db: float | None = None,
    rate_out: int | None = None,
    overwrite: bool = False,
    progress: Callable[[int], object] | None = None,
    expect: Callable[[int], object] | None = None,
) -> FileReport:
    """Enhance `source` and write the result to `target`, which appears only when it is complete.

    Metadata, sample format, channel layout and bit rate are kept if the target's format supports them; the report
    lists what is lost. The LFE channel of surround recordings is copied unprocessed. In a video, the first audio track
    is replaced and everything else is copied.

    Args:
        enhancer: The network.
        source: File to read.
        target: File to write; its suffix sets the format (wav, flac, ogg, opus, mp3, …; with ffmpeg m4a, mp4, mkv, …).
        limit_db: Greatest reduction of noise in dB, as in `Enhancer.enhance`.
        rate_out: Sampling rate of the output in Hz; by default the source's, or the next one that the format supports.
        overwrite: Replace an existing target.
        progress: Called with the number of frames that were written since the last call.
        expect: Called once with the number of frames that will be written, according to the header.

    Raises:
        AudioError: A file cannot be read or written, or `target` exists and `overwrite` is not set.

    """
    source, target = as_path(source, "source"), as_path(target, "target")
    info = _probe(source, target)
    check_target(target, overwrite)
    properties = find_output_properties(enhancer, info, target, rate_out)
    frames = round(info.seconds * properties.rate)
    if expect:
        expect(frames)
    with _open_target(target, info, properties, frames, overwrite) as writer:
        writer.lost(properties.lost)
        # The reader is closed before the writer renames: source and target may be one file.
        with open_reader(source) as reader:
            faults = _Faults()
            for estimate in properties.enhanced(enhancer, faults.silenced(reader.blocks(_BLOCK)), limit_db):
                writer.write(estimate)
                if progress:
                    progress(estimate.shape[1])
            read, notes = reader.position, (*reader.notes, *faults.notes)
    return _report(info, read, notes, writer)


class _Faults:
    """Replace values beyond ±2³² by silence and count them."""

    def __init__(self) -> None:
        self._count = 0

    def silenced(self, blocks: Iterable[Samples]) -> Iterator[Samples]:
        """Yield the blocks without such values."""
        for block in blocks:
            rows, count = silence_faults(block)
            self._count += count
            yield rows

    @property
    def notes(self) -> tuple[str, ...]:
        """A remark with the count, if there were any."""
        return (f"{self._count} samples beyond ±2³² were replaced by silence",) if self._count else ()


def _probe(source: Path, target: Path) -> AudioInfo:
    """Probe the source; measure its exact length if a WAV target may exceed 4 GB."""
    info = probe(source)
    inexact = not info.exact and not info.by_ffmpeg and target.suffix.lower() == ".wav"
    return measure(source) if inexact and source.stat().st_size > _LARGE else info


def _open_target(
    target: Path, info: AudioInfo, properties: OutputProperties, frames: int, overwrite: bool
) -> AbstractContextManager[Writer | MediaWriter]:
    if is_media(target):
        return open_encoder(
            target,
            properties.rate,
            properties.outputs,
            original=info.path,
            tags=info.tags,
            subtype=properties.subtype,
            overwrite=overwrite,
        )
    return open_writer(
        target,
        properties.rate,
        properties.outputs,
        subtype=properties.subtype,
        tags=info.tags,
        frames=frames,
        overwrite=overwrite,
        kept=properties.kept,
    )


def enhance_pipe(
    enhancer: Enhancer,
    source: BinaryIO,
    sink: BinaryIO,
    *,
    limit_db: float | None = None,
    rate_out: int | None = None,
    progress: Callable[[int], object] | None = None,
) -> FileReport:
    """Enhance a recording of any readable format from `source` and write it to `sink` as WAV.

    Input and output are stored in temporary files, since a WAV header contains the length.

    Args:
        enhancer: The network.
        source: Binary stream with an audio file.
        sink: Binary stream to write to.
        limit_db: Greatest reduction of noise in dB, as in `Enhancer.enhance`.
        rate_out: Sampling rate of the output in Hz; by default the source's.
        progress: Called with the number of frames that were written since the last call.

    Raises:
        AudioError: The recording cannot be read.

    """
    with tempfile.TemporaryDirectory(prefix="stillwave-") as folder:
        received, result = Path(folder) / "stdin", Path(folder) / "stdout.wav"
        with received.open("wb") as handle:
            shutil.copyfileobj(source, handle)
        try:
            report = enhance_file(
                enhancer, received, result, limit_db=limit_db, rate_out=rate_out, progress=progress
            )
        except AudioError as error:
            message = (
                str(error).replace(str(received), "standard input").replace(str(result), "standard output")
            )
            raise AudioError(message) from None
        with result.open("rb") as handle:
            shutil.copyfileobj(handle, sink)
        sink.flush()
    return report


def check_target(target: Path, overwrite: bool) -> None:
    """Raise AudioError if the target is a folder, or exists and `overwrite` is not set."""
    if target.is_dir():
        raise AudioError(f"{target}: is a folder; give a file name")
    if not overwrite:
        refuse_existing(target)


def _report(info: AudioInfo, read: int, notes: tuple[str, ...], writer: Writer | MediaWriter) -> FileReport:
    written = writer.report
    return FileReport(
        source=str(info.path),
        target=str(written.path),
        seconds=read / info.sample_rate,
        sample_rate=written.sample_rate,
        channels=written.channels,
        format=written.format,
        subtype=written.subtype,
        peak=written.peak,
        clipped=written.clipped,
        lost_tags=written.lost_tags,
        source_rate=info.sample_rate,
        notes=notes,
    )
