"""Encode audio with ffmpeg, into an audio file or in place of the first audio track of a video."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import numpy as np

from stillwave.audio.contract import Samples
from stillwave.audio.ffmpeg.kinds import MEDIA_FORMATS, MediaFormat
from stillwave.audio.ffmpeg.program import Contents, FfmpegProcess, InputFile, MediaStream, inspect, location
from stillwave.audio.writing import SampleCounter, WriteReport, refuse_existing, translated
from stillwave.errors import AudioError
from stillwave.files import atomic_file

_KBPS_A_CHANNEL = 96
"""Least bit rate of lossy codecs, in kbit/s per channel."""
_MOST_KBPS = {"libmp3lame": 320, "libopus": 510, "wmav2": 320, "mp2": 384, "ac3": 640}
_DELAY = {"aac": 1024, "mp3": 1105, "mp2": 481}
"""Delay of encoder and decoder in samples."""
_SILENT_OF_DELAY = ("mpegts", "mpeg", "avi", "adts")
"""Containers that do not store the delay: as many samples are left out at the start."""
_LAYOUTS = {3: "3.0", 4: "quad", 5: "5.0", 6: "5.1", 7: "6.1", 8: "7.1"}
"""Layout by number of channels. By default ffmpeg filters the third of three as low-frequency effects."""
_LOSSLESS = ("alac", "flac", "pcm_s16le", "pcm_s24le")
_TAGS = {"tracknumber": "track", "license": "copyright"}


class MediaWriter(SampleCounter):
    """An open file that is written by ffmpeg. Made by `open_encoder`."""

    def __init__(
        self,
        path: Path,
        rate: int,
        channels: int,
        form: MediaFormat,
        codec: str,
        process: FfmpegProcess,
        left_out: int,
    ) -> None:
        super().__init__(path)
        self._rate, self._channels, self._form = rate, channels, form
        self._codec, self._process = codec, process
        self._skip = left_out

    def write(self, samples: Samples) -> None:
        """Append `[channels, n]`, float32."""
        if samples.shape[1] == 0:
            return
        self._count(samples, clips=self._codec in _LOSSLESS)
        assert self._process.stdin is not None
        try:
            self._process.stdin.write(np.ascontiguousarray(samples[:, self._skip :].T, "<f4").data)
        except OSError:
            raise self._failure() from None
        self._skip -= min(self._skip, samples.shape[1])
        self._frames += samples.shape[1]

    def finish(self) -> None:
        """Wait until ffmpeg has written the file."""
        if self._frames == 0:
            raise AudioError(f"{self._path}: has no samples to write")
        assert self._process.stdin is not None
        try:
            self._process.stdin.close()
        except OSError:
            raise self._failure() from None
        if self._process.wait():
            raise self._failure()

    def _failure(self) -> AudioError:
        self._process.wait()
        return AudioError(f"{self._path}: cannot be written by ffmpeg: {self._process.first_error()}")

    @property
    def report(self) -> WriteReport:
        """The report on what has been written."""
        return self._report(self._rate, self._channels, self._form.name.upper(), self._codec.upper())


@contextmanager
def open_encoder(
    path: Path,
    rate: int,
    channels: int,
    *,
    original: Path,
    tags: Mapping[str, str],
    subtype: str = "",
    overwrite: bool = True,
) -> Iterator[MediaWriter]:
    """Write a recording with ffmpeg; the file appears when the `with` block ends without an exception.

    If `original` has video and the target supports it, all streams but the first audio track are copied: video, further
    audio tracks, subtitles, chapters, attachments.

    Args:
        path: Path of the file. The suffix selects the format (`MEDIA_FORMATS`).
        rate: Sampling rate in Hz.
        channels: Number of channels.
        original: The file that the recording was read from.
        tags: Title, artist, comment and other tags.
        subtype: Sample format of the original.
        overwrite: Replace an existing file.

    Raises:
        AudioError: The format cannot store the recording, the file exists, or ffmpeg fails.

    """
    form = MEDIA_FORMATS[path.suffix.lower()]
    if channels > form.channels:
        raise AudioError(f"{path}: {form.name} supports at most {form.channels} channels, not {channels}")
    if not overwrite:
        refuse_existing(path)
    contents = _contents(original)
    codec, encoder = _codec(form, contents, channels)
    options = _sample_format(encoder, subtype) or ["-b:a:0", f"{_kbps(contents, channels, encoder)}k"]
    with translated(path), atomic_file(path, replace=overwrite) as temporary:
        layout = ["-channel_layout", _LAYOUTS[channels]] if channels in _LAYOUTS else []
        sound = ["-f", "f32le", "-ar", str(rate), "-ac", str(channels), *layout, "-i", "pipe:0"]
        arguments = [
            *sound,
            *_mapping(form, contents, original, tags),
            "-c",
            "copy",
            "-c:a:0",
            encoder,
            *options,
        ]
        process = FfmpegProcess(
            path,
            [*arguments, "-fflags", "+bitexact", "-f", form.name, "-y", location(temporary)],
            stdin=subprocess.PIPE,
        )
        try:
            left_out = _left_out(form, contents, codec, rate)
            writer = MediaWriter(path, rate, channels, form, codec, process, left_out)
            writer.lost((*_lost(form, contents), *_lost_layout(form, contents, codec)))
            yield writer
            writer.finish()
        finally:
            process.close()


def _contents(original: Path) -> Contents | None:
    """Return the contents of the original; None if ffmpeg cannot read it."""
    try:
        return inspect(original)
    except AudioError:
        return None


def _codec(form: MediaFormat, contents: Contents | None, channels: int) -> tuple[str, str]:
    """Return the codec of the original if the container supports it, else the default codec; and its encoder.

    Matroska cannot store the channel layout of PCM, so FLAC, which stores it itself, is used.
    """
    sound = contents.of("Audio")[:1] if contents else []
    codec = sound[0].codec if sound and sound[0].codec in form.codecs else next(iter(form.codecs))
    if form.name == "matroska" and channels > 2 and codec in ("pcm_s16le", "pcm_s24le"):
        codec = "flac"
    return codec, form.codecs[codec]


def _left_out(form: MediaFormat, contents: Contents | None, codec: str, rate: int) -> int:
    """Return how many samples are left out at the start to compensate for the delay of the encoder."""
    if form.name in _SILENT_OF_DELAY:
        return _DELAY.get(codec, 0)
    if form.name == "asf" and not _kept(form, contents):  # video is delayed by as much
        return 512 if rate <= 16_000 else 1024 if rate <= (32_000 if codec == "wmav1" else 22_050) else 2048
    return 0


def _lost_layout(form: MediaFormat, contents: Contents | None, codec: str) -> tuple[str, ...]:
    """Return the lost layout of PCM in Matroska, for which readers assume another one."""
    stated = contents.of("Audio")[0].layout if contents and contents.of("Audio") else ""
    unstated = form.name == "matroska" and codec.startswith("pcm_") and stated in ("3.0", "quad")
    return ("channel layout",) if unstated else ()


def _kbps(contents: Contents | None, channels: int, encoder: str) -> int:
    """Return a bit rate of at least that of the original, in kbit/s."""
    sound = contents.of("Audio")[:1] if contents else []
    before = (sound[0].kbps or 0) if sound and not sound[0].codec.startswith(("pcm", "flac", "alac")) else 0
    return min(max(before, _KBPS_A_CHANNEL * channels), _MOST_KBPS.get(encoder, 10_000))


def _sample_format(encoder: str, subtype: str) -> list[str]:
    """Return the options for the sample format of lossless codecs: 16 bits for originals of 16, else 24."""
    if encoder.startswith("pcm_"):
        return ["-sample_fmt:a:0", {"pcm_s16le": "s16", "pcm_s24le": "s32", "pcm_f32le": "flt"}[encoder]]
    if encoder in ("alac", "flac"):
        wide = subtype in ("PCM_24", "PCM_32", "FLOAT", "DOUBLE")
        return ["-sample_fmt:a:0", ("s32" if wide else "s16") + ("p" if encoder == "alac" else "")]
    return []


def _mapping(
    form: MediaFormat, contents: Contents | None, original: Path, tags: Mapping[str, str]
) -> list[str | InputFile]:
    """Return the options for the streams of the output, in the order of the original, and their metadata."""
    named = [
        part for name, value in tags.items() for part in ("-metadata", f"{_TAGS.get(name, name)}={value}")
    ]
    kept = _kept(form, contents)
    if not kept:
        return ["-map", "0:a:0", *named]
    assert contents is not None
    maps: list[str] = []
    first = contents.of("Audio")[0]
    for index, stream in enumerate(kept):
        maps += ["-map", "0:a:0" if stream is first else f"1:{stream.number}"]
        maps += [f"-map_metadata:s:{index}", f"1:s:{stream.number}"]
    described = ["-map_metadata", "1", "-map_chapters", "1", "-max_muxing_queue_size", "4096"]
    return [InputFile(original), *maps, *described]


def _kept(form: MediaFormat, contents: Contents | None) -> list[MediaStream]:
    """Return the streams of the original for a video output, audio included; none for an audio output."""
    if contents is None or not (form.video or _has_cover(form, contents)):
        return []
    wanted = ("Video", "Audio", "Subtitle", "Attachment") if form.video else ("Video",)
    first = contents.of("Audio")[0]
    return (
        [stream for stream in contents.streams if stream is first or stream.kind in wanted]
        if contents.of("Video")
        else []
    )


def _has_cover(form: MediaFormat, contents: Contents) -> bool:
    """Return whether the original has cover art for an m4a file."""
    videos = contents.of("Video")
    return (
        form.name == "ipod" and bool(videos) and all("attached pic" in video.description for video in videos)
    )


def _is_rewritten(form: MediaFormat, stream: MediaStream) -> bool:
    """Return whether it is a QuickTime track of chapter titles or timecode, which ffmpeg writes itself."""
    timecode = stream.description.startswith("none (tmcd") and form.name in ("mov", "mp4")
    return timecode or stream.description.startswith("bin_data (text")


def _lost(form: MediaFormat, contents: Contents | None) -> tuple[str, ...]:
    """Return the names of streams that are not in the output."""
    if contents is None:
        return ()
    kept = _kept(form, contents) or contents.of("Audio")[:1]
    lost = [stream for stream in contents.streams if stream not in kept and not _is_rewritten(form, stream)]
    return tuple(f"{stream.kind.lower()} stream {stream.number} ({stream.codec})" for stream in lost)
