"""From file to file and from pipe to pipe, in constant memory."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO

from stillwave.audio import AudioInfo, Writer, open_reader, open_writer, probe, subtype_for
from stillwave.errors import AudioError

if TYPE_CHECKING:
    from stillwave.enhance.enhancer import Enhancer

_BLOCK = 2**17
"""Frames read at once."""


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


def enhance_file(
    enhancer: Enhancer,
    source: Path | str,
    target: Path | str,
    *,
    limit_db: float | None = None,
    rate_out: int | None = None,
    overwrite: bool = False,
    progress: Callable[[int], object] | None = None,
) -> FileReport:
    """Denoise `source` into `target`, whose suffix gives its format (wav, flac, ogg, opus, mp3, aiff, …).

    Metadata is kept where the target's format holds it, and so is the sample format (`audio.subtype_for`);
    the target appears only when it is complete. `limit_db` and `rate_out` as in `Enhancer.enhance`;
    `progress` is called with the number of frames written since the last call. Raises `AudioError`, also for
    a target that exists, unless `overwrite`.
    """
    source, target = Path(source), Path(target)
    info = probe(source)
    check_target(target, overwrite)
    rate = info.sample_rate if rate_out is None else rate_out
    with open_writer(
        target,
        rate,
        _channels(enhancer, info),
        subtype=subtype_for(target, info.subtype),
        tags=info.tags,
        frames=round(info.seconds * rate),
    ) as writer:
        _copy(enhancer, info, writer, limit_db, rate_out, progress)
    return _report(info, writer)


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
    if os.path.lexists(target) and not overwrite:
        raise AudioError(f"{target}: exists already; it is replaced only with --overwrite")


def _channels(enhancer: Enhancer, info: AudioInfo) -> int:
    try:
        return enhancer.channels_out(info.channels)
    except AudioError as error:
        raise AudioError(f"{info.path}: {error}") from None


def _copy(
    enhancer: Enhancer,
    info: AudioInfo,
    writer: Writer,
    limit_db: float | None,
    rate_out: int | None,
    progress: Callable[[int], object] | None,
) -> None:
    # The reader is closed before the writer renames: source and target may be one file.
    with open_reader(info.path) as reader:
        estimates = enhancer.stream(
            reader.blocks(_BLOCK), info.sample_rate, info.channels, limit_db=limit_db, rate_out=rate_out
        )
        for estimate in estimates:
            writer.write(estimate)
            if progress:
                progress(estimate.shape[1])


def _report(info: AudioInfo, writer: Writer) -> FileReport:
    written = writer.report
    return FileReport(
        source=str(info.path),
        target=str(written.path),
        seconds=info.seconds,
        sample_rate=written.sample_rate,
        channels=written.channels,
        format=written.format,
        subtype=written.subtype,
        peak=written.peak,
        clipped=written.clipped,
        lost_tags=written.lost_tags,
    )
