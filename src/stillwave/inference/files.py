"""From file to file and from pipe to pipe, in constant memory."""

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
"""Frames read at once."""
_LARGE = 2**24
"""Bytes of a compressed file whose samples may be more than 4 GB."""


@dataclass(frozen=True)
class FileReport:
    """What became of one file. `peak` and `clipped` as in `audio.WriteReport`."""

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
    """What the source holds beside its samples and the target has no place for."""
    source_rate: int = 0
    """Hz of the source."""
    notes: tuple[str, ...] = ()
    """What a user should know of how the source was read."""


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
    """Denoise `source` into `target`, whose suffix gives its format (wav, flac, ogg, opus, mp3, aiff, …;
    with ffmpeg m4a, mp4, mkv, webm, …). Of a video, the first audio track is replaced and all else is copied.

    Metadata is kept where the target's format holds it, and so are the sample format (`audio.subtype_for`), the
    loudspeaker of each channel (`audio.surround`) and, by mp3 and opus, the bit rate; what is lost is in the report.
    The channel for low-frequency effects of surround sound is passed on as it is. A rate that the format does not hold
    becomes the next that it does, unless `rate_out` is given.

    The target appears only when it is complete. `limit_db` and `rate_out` as in `Enhancer.enhance`; `progress` is
    called with the number of frames written since the last call, `expect` once with how many there will be, as far as
    the header says. Raises `AudioError`, also for a target that exists, unless `overwrite`.
    """
    source, target = as_path(source, "source"), as_path(target, "target")
    info = _looked_at(source, target)
    check_target(target, overwrite)
    route = find_output_properties(enhancer, info, target, rate_out)
    frames = round(info.seconds * route.rate)
    if expect:
        expect(frames)
    with _open_target(target, info, route, frames, overwrite) as writer:
        writer.lost(route.lost)
        # The reader is closed before the writer renames: source and target may be one file.
        with open_reader(source) as reader:
            faults = _Faults()
            for estimate in route.enhanced(enhancer, faults.silenced(reader.blocks(_BLOCK)), limit_db):
                writer.write(estimate)
                if progress:
                    progress(estimate.shape[1])
            read, notes = reader.position, (*reader.notes, *faults.notes)
    return _report(info, read, notes, writer)


class _Faults:
    """Counts samples that are no audio, and makes them silence."""

    def __init__(self) -> None:
        self._count = 0

    def silenced(self, blocks: Iterable[Samples]) -> Iterator[Samples]:
        """The same blocks without them."""
        for block in blocks:
            rows, count = silence_faults(block)
            self._count += count
            yield rows

    @property
    def notes(self) -> tuple[str, ...]:
        """What the user should know of them."""
        return (
            (f"{self._count} samples beyond any audio (±2³²) were taken as silence",) if self._count else ()
        )


def _looked_at(source: Path, target: Path) -> AudioInfo:
    """What is known of the source; with its exact length where a WAV file might need more than 4 GB."""
    info = probe(source)
    unsure = not info.exact and not info.by_ffmpeg and target.suffix.lower() == ".wav"
    return measure(source) if unsure and source.stat().st_size > _LARGE else info


def _open_target(
    target: Path, info: AudioInfo, route: OutputProperties, frames: int, overwrite: bool
) -> AbstractContextManager[Writer | MediaWriter]:
    if is_media(target):
        return open_encoder(
            target,
            route.rate,
            route.outputs,
            original=info.path,
            tags=info.tags,
            subtype=route.subtype,
            overwrite=overwrite,
        )
    return open_writer(
        target,
        route.rate,
        route.outputs,
        subtype=route.subtype,
        tags=info.tags,
        frames=frames,
        overwrite=overwrite,
        kept=route.kept,
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
    """Denoise a recording of any readable format from one stream into another, as WAV.

    Both are kept on disk in between (in the system's folder for temporary files): a WAV header holds the
    length, so that nothing can be passed on before the end.
    """
    with tempfile.TemporaryDirectory(prefix="stillwave-") as folder:
        received, made = Path(folder) / "stdin", Path(folder) / "stdout.wav"
        with received.open("wb") as handle:
            shutil.copyfileobj(source, handle)
        try:
            report = enhance_file(
                enhancer, received, made, limit_db=limit_db, rate_out=rate_out, progress=progress
            )
        except AudioError as error:
            message = (
                str(error).replace(str(received), "standard input").replace(str(made), "standard output")
            )
            raise AudioError(message) from None
        with made.open("rb") as handle:
            shutil.copyfileobj(handle, sink)
        sink.flush()
    return report


def check_target(target: Path, overwrite: bool) -> None:
    """Refuse a target that is a folder, or that is there already and may not be replaced."""
    if target.is_dir():
        raise AudioError(f"{target}: this is a folder; give a file name to write to")
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
