"""Enhance and convert uploaded recordings, in a thread of the pool."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from stillwave.audio import (
    AudioInfo,
    Resampler,
    Samples,
    nearest_rate,
    open_reader,
    open_writer,
    silence_faults,
    subtype_for,
)
from stillwave.audio.decoding import UndecodableError
from stillwave.audio.ffmpeg import target_suffix
from stillwave.audio.formats import FORMATS
from stillwave.audio.wav_bytes import WavBytes
from stillwave.errors import AudioError, StillwaveError
from stillwave.inference import Enhancer, enhance_file
from stillwave.inference.output_properties import OutputProperties, find_output_properties
from stillwave.web.jobs import Cancellation, JobCancelledError
from stillwave.web.names import enhanced_name
from stillwave.web.outputs import Head, Output
from stillwave.web.problems import Problem
from stillwave.web.settings import Settings
from stillwave.web.uploads import Upload

BLOCK = 2**17
"""Samples per channel that are read at once, as by `enhance_file`."""
RATES = (4_000, 192_000)
"""Lowest and highest sampling rate of an upload, in Hz."""
MEDIA_TYPES = {
    ".wav": "audio/wav", ".flac": "audio/flac", ".mp3": "audio/mpeg", ".ogg": "audio/ogg", ".oga": "audio/ogg",
    ".opus": "audio/ogg", ".aiff": "audio/aiff", ".aif": "audio/aiff", ".m4a": "audio/mp4", ".mp4": "video/mp4",
    ".webm": "video/webm", ".mkv": "video/x-matroska", ".mov": "video/quicktime",
}  # fmt: skip
_OWN_SUFFIX = {"WAVEX": ".wav", "OPUS": ".opus", "FLAC": ".flac", "MP3": ".mp3", "OGG": ".ogg"}


@dataclass(frozen=True)
class Request:
    """How a recording is to be enhanced; options as those of `stillwave enhance`."""

    upload: Upload
    folder: Path
    format: str = "wav"
    limit_db: float | None = None
    rate: int | None = None
    original: bool = False


def enhance(enhancer: Enhancer, request: Request, settings: Settings, output: Output) -> float:
    """Write the enhanced recording to `output` and return its duration in seconds.

    A recording is decoded completely before the first sample is enhanced, so that a damaged or too long one is refused
    instead of an answer that breaks off. Raises Problem, JobCancelledError.
    """
    with _problems(request.upload):
        info, frames = examine(request.upload, settings, output.cancellation)
        suffix = _suffix(request, info)
        target = request.folder / f"enhanced{suffix}"
        properties = find_output_properties(enhancer, info, target, request.rate)
        seconds = frames / info.sample_rate
        length = (2 * frames * properties.rate + info.sample_rate) // (2 * info.sample_rate)
        channels = properties.outputs + (properties.inputs if request.original else 0)
        facts = {
            "Stillwave-Model": enhancer.name,
            "Stillwave-Rate": str(properties.rate),
            "Stillwave-Channels": str(channels),
            "Stillwave-Duration": f"{seconds:.6f}",
        }
        name, kind = (
            enhanced_name(request.upload.name, suffix),
            MEDIA_TYPES.get(suffix, "application/octet-stream"),
        )
        if suffix == ".wav" and (wav := _wav(request, info, properties, length, channels)):
            output.begin(Head(name, kind, wav.size, facts))
            output.write(wav.header)
            for samples in _blocks(enhancer, request, properties):
                output.write(wav.samples(samples))
            output.write(wav.trailer)
            return seconds
        report = enhance_file(
            enhancer,
            request.upload.path,
            target,
            limit_db=request.limit_db,
            rate_out=request.rate,
            progress=lambda _: output.cancellation.check(),
        )
        output.adopt(target, name, kind, {**facts, "Stillwave-Rate": str(report.sample_rate)})
        return seconds


def convert(upload: Upload, folder: Path, format: str, settings: Settings, output: Output) -> None:
    """Write the samples of a recording to `output` in another format. Raises Problem, JobCancelledError."""
    with _problems(upload):
        info, frames = examine(upload, settings, output.cancellation)
        target = folder / f"converted.{format}"
        subtype = subtype_for(target, info.subtype)
        rate = nearest_rate(target, subtype, info.sample_rate)
        with (
            open_reader(upload.path) as reader,
            open_writer(
                target, rate, info.channels, subtype=subtype, tags=info.tags, frames=frames
            ) as writer,
        ):
            resampler = Resampler(info.sample_rate, rate, info.channels)
            for block in reader.blocks(BLOCK):
                output.cancellation.check()
                writer.write(resampler.push(silence_faults(block)[0]))
            writer.write(resampler.push(np.zeros((info.channels, 0), np.float32), last=True))
        facts = {"Stillwave-Rate": str(rate), "Stillwave-Channels": str(info.channels)}
        name = f"{Path(upload.name).stem or 'converted'}.{format}"
        output.adopt(target, name, MEDIA_TYPES[f".{format}"], facts)


def examine(upload: Upload, settings: Settings, cancellation: Cancellation) -> tuple[AudioInfo, int]:
    """Decode a recording and return its properties and its length in samples. Raises Problem, AudioError."""
    with open_reader(upload.path) as reader:
        info = reader.info
        if info.channels > settings.max_channels:
            raise Problem(
                "refused",
                f"the recording has {info.channels} channels; up to {settings.max_channels} are accepted",
            )
        if not RATES[0] <= info.sample_rate <= RATES[1]:
            raise Problem(
                "refused",
                f"the sampling rate is {info.sample_rate} Hz; {RATES[0]} to {RATES[1]} Hz are accepted",
            )
        most = settings.max_seconds * info.sample_rate
        if info.exact and info.frames > most:
            raise _too_long(settings)
        for _ in reader.blocks(BLOCK):
            cancellation.check()
            if reader.position > most:
                raise _too_long(settings)
        return info, reader.position


def _too_long(settings: Settings) -> Problem:
    return Problem("too-long", f"recordings of up to {settings.max_seconds:g} seconds are accepted")


def _wav(
    request: Request, info: AudioInfo, properties: OutputProperties, frames: int, channels: int
) -> WavBytes | None:
    """Return the encoder of a WAV file; None for one of more than 4 GB, which is written as RF64."""
    scratch = request.folder / "header.wav"
    try:
        if request.original:
            return WavBytes(scratch, properties.rate, channels, frames, "FLOAT")
        return WavBytes(
            scratch, properties.rate, channels, frames, properties.subtype, info.tags, properties.kept
        )
    except AudioError:
        if request.original:
            raise
        return None


def _blocks(enhancer: Enhancer, request: Request, properties: OutputProperties) -> Iterator[Samples]:
    with open_reader(request.upload.path) as reader:
        blocks = (silence_faults(block)[0] for block in reader.blocks(BLOCK))
        if request.original:
            yield from _with_original(enhancer, blocks, properties, request.limit_db)
        else:
            yield from properties.enhanced(enhancer, blocks, request.limit_db)


def _with_original(
    enhancer: Enhancer, blocks: Iterable[Samples], properties: OutputProperties, limit_db: float | None
) -> Iterator[Samples]:
    """Yield the channels of the input, at the rate of the output, followed by those of the estimate."""
    rows = list(properties.order) or list(range(properties.inputs))
    resampler = Resampler(properties.rate_in, properties.rate, properties.inputs)
    held = np.zeros((properties.inputs, 0), np.float32)
    done = np.zeros((properties.outputs, 0), np.float32)

    def copied() -> Iterator[Samples]:
        nonlocal held
        for block in blocks:
            held = np.concatenate([held, resampler.push(block)[rows]], axis=1)
            yield block

    for estimate in properties.enhanced(enhancer, copied(), limit_db):
        done = np.concatenate([done, estimate], axis=1)
        ready = min(done.shape[1], held.shape[1])
        yield np.concatenate([held[:, :ready], done[:, :ready]])
        done, held = done[:, ready:], held[:, ready:]
    silence = np.zeros((properties.inputs, _TAIL), np.float32)
    held = np.concatenate([held, resampler.push(silence, last=True)[rows]], axis=1)
    yield np.concatenate([held[:, : done.shape[1]], done])


_TAIL = 4096
"""Samples of silence that flush the resampler."""


def _suffix(request: Request, info: AudioInfo) -> str:
    """Return the suffix of the output. Raises Problem if the input's own format cannot be written."""
    if request.format != "same":
        return f".{request.format}"
    suffix = target_suffix(request.upload.path)
    if suffix:
        return suffix
    found = _OWN_SUFFIX.get(info.subtype) or _OWN_SUFFIX.get(info.format) or f".{info.format.lower()}"
    if found not in FORMATS:
        raise Problem("bad-option", "format: the input's own format cannot be written; choose wav or flac")
    return found


@contextmanager
def _problems(upload: Upload) -> Iterator[None]:
    """Raise errors of the audio package as problems, which do not name temporary files."""
    try:
        yield
    except (Problem, JobCancelledError):
        raise
    except StillwaveError as error:
        text = str(error).removeprefix(f"{upload.path}: ").replace(str(upload.path), "the recording")
        text = text.replace(f"{upload.path.parent}/", "")
        raise Problem("not-audio" if isinstance(error, UndecodableError) else "refused", text) from None
