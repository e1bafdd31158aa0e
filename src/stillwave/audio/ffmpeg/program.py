"""Run ffmpeg on one local file and read its messages.

ffmpeg reads that file only. From version 6 on it gets an open descriptor instead of a name (`fd:`), and may open no
other file; earlier ones get the name with the protocol `file:` (so `http:`, `concat:` and a leading dash in a name have
no special meaning). Playlists, which name other files, are not an allowed format.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from stillwave.audio.ffmpeg.kinds import DEMUXERS, MEDIA, MEDIA_FORMATS
from stillwave.errors import AudioError

_MOST, _LONGEST = 2_000, 1_000
"""Largest number of messages that are kept, and characters of each."""
_MESSAGE = re.compile(r"(?:\[[^\]]* @ \w+\] )*\[(\w+)\] ?(.*)")
_STREAM = re.compile(r"\s*Stream #0:(\d+)(?:\[\w+\])?(?:\((.*?)\))?: (\w+): (.*)")
_DURATION = re.compile(r"\s*Duration: (\d+):(\d\d):(\d\d(?:\.\d+)?)")
_TAGS = {
    "title": "title", "artist": "artist", "album": "album", "comment": "comment", "date": "date", "genre": "genre",
    "copyright": "copyright", "track": "tracknumber",
}  # fmt: skip


def found() -> str | None:
    """Return the path of ffmpeg; None if it is not on the PATH."""
    return shutil.which("ffmpeg")


@dataclass(frozen=True)
class MediaStream:
    """A stream of a file: number, kind (`Audio`, `Video`, …) and ffmpeg's description, codec first."""

    number: int
    kind: str
    description: str

    @property
    def codec(self) -> str:
        """Name of the codec in ffmpeg."""
        return re.split(r"[ ,]", self.description, maxsplit=1)[0]

    @property
    def layout(self) -> str:
        """Channel layout, such as `stereo` or `5.1(side)`; empty for unknown."""
        found = re.search(r" Hz, ([^,]+)", self.description)
        return found[1] if found and "channels" not in found[1] else ""

    @property
    def kbps(self) -> int | None:
        """Bit rate in kbit/s; None for unknown."""
        rate = re.search(r"(\d+) kb/s", self.description)
        return int(rate[1]) if rate else None


@dataclass(frozen=True)
class Contents:
    """Contents of a file, as printed by ffmpeg."""

    container: str
    seconds: float
    """0 for unknown."""
    streams: tuple[MediaStream, ...]
    tags: dict[str, str]

    def of(self, kind: str) -> list[MediaStream]:
        """Return the streams of a kind."""
        return [stream for stream in self.streams if stream.kind == kind]


class FfmpegProcess:
    """A running ffmpeg process; `close` ends it."""

    def __init__(self, path: Path, arguments: list[str | InputFile], **pipes: Any) -> None:
        program = found()
        if program is None:
            named = path.suffix.lower() in MEDIA or path.suffix.lower() in MEDIA_FORMATS
            what = f"'{path.suffix}' files need" if named else "its format needs"
            raise AudioError(
                f"{path}: {what} ffmpeg, which is not on the PATH; install it (apt, dnf, brew or winget install "
                "ffmpeg), or convert the file to wav"
            )
        self._path = path
        # In a process group of its own, so that Ctrl-C does not reach it.
        group: dict[str, Any] = {"start_new_session": True}
        if sys.platform == "win32":
            group = {"creationflags": subprocess.CREATE_NEW_PROCESS_GROUP}
        try:
            with _expanded(program, arguments) as (words, descriptors):
                self._process = subprocess.Popen(
                    [program, *_QUIET, *words],
                    stderr=subprocess.PIPE,
                    env={**os.environ, "AV_LOG_FORCE_NOCOLOR": "1", "LC_ALL": "C"},
                    pass_fds=descriptors,
                    **{"stdin": subprocess.DEVNULL, "stdout": subprocess.DEVNULL, **pipes, **group},
                )
        except OSError as error:
            raise AudioError(f"{path}: ffmpeg cannot be started: {error.strerror or error}") from None
        self.stdin, self.stdout = self._process.stdin, self._process.stdout
        self._messages: list[tuple[str, str]] = []
        self._introduced = threading.Event()
        self._listener = threading.Thread(target=self._listen, daemon=True)
        self._listener.start()

    def _listen(self) -> None:
        assert self._process.stderr is not None
        for line in self._process.stderr:
            match = _MESSAGE.match(line[:_LONGEST].decode("utf-8", "replace").rstrip())
            if match and len(self._messages) < _MOST:
                self._messages.append((match[1], match[2]))
            if match and match[2].startswith("Stream mapping"):
                self._introduced.set()
        self._introduced.set()

    def wait(self) -> int:
        """Wait until it ends; return its exit status."""
        status = self._process.wait()
        self._listener.join()
        return status

    def contents(self) -> Contents:
        """Wait until the first input is open and return its contents."""
        self._introduced.wait()
        return _contents(self._messages)

    def errors(self) -> list[str]:
        """Return its error messages without the name of the file."""
        texts = [text for level, text in self._messages if level in ("error", "fatal")]
        found = [text.replace(f"{location(self._path)}: ", "").replace("fd:: ", "").strip() for text in texts]
        return [text for text in found if text and not text.startswith("Error opening input file")]

    def first_error(self) -> str:
        """Return its first error message."""
        errors = self.errors()
        first = errors[0].rstrip(".") if errors else "no message"
        return _PLAINER.get(first, first)

    def close(self) -> None:
        """End the process and close its pipes."""
        if self._process.poll() is None:
            self._process.kill()
        self.wait()
        for pipe in (self.stdin, self.stdout, self._process.stderr):
            if pipe is not None:
                with suppress(OSError):  # unwritten data is discarded
                    pipe.close()


_PLAINER = {"moov atom not found": "its index (moov) is missing, so it is cut short or of another format"}
_QUIET = ["-hide_banner", "-nostdin", "-nostats", "-loglevel", "level+info"]


def location(path: Path) -> str:
    """Return the URL of a file for ffmpeg."""
    return f"file:{path}"


@dataclass(frozen=True)
class InputFile:
    """An argument that stands for the options of an input file."""

    path: Path


@contextmanager
def _expanded(program: str, arguments: list[str | InputFile]) -> Iterator[tuple[list[str], tuple[int, ...]]]:
    """Yield the arguments with the options of input files, and the descriptors that they name."""
    words: list[str] = []
    descriptors: list[int] = []
    with ExitStack() as files:
        for word in arguments:
            if isinstance(word, str):
                words.append(word)
                continue
            if os.name == "posix" and _takes_descriptors(program):
                handle = files.enter_context(word.path.open("rb"))
                descriptors.append(handle.fileno())
                place = ["-protocol_whitelist", "fd", "-fd", str(handle.fileno()), "-i", "fd:"]
            else:
                place = ["-protocol_whitelist", "file", "-i", location(word.path)]
            words += ["-format_whitelist", DEMUXERS, *place]
        yield words, tuple(descriptors)


@cache
def _takes_descriptors(program: str) -> bool:
    """Return whether ffmpeg has the protocol `fd:`, with which it can seek in a descriptor (version 6)."""
    listed = subprocess.run([program, "-hide_banner", "-protocols"], capture_output=True, check=False)
    return b"fd" in listed.stdout.split()


def inspect(path: Path) -> Contents:
    """Return the contents of a file. Raises `AudioError` if ffmpeg cannot open it."""
    process = FfmpegProcess(path, [InputFile(path)])
    try:
        process.wait()
        contents = process.contents()
        if not contents.streams:
            raise AudioError(f"{path}: cannot be decoded by ffmpeg: {process.first_error()}")
        return contents
    finally:
        process.close()


def _contents(messages: list[tuple[str, str]]) -> Contents:
    container, seconds, streams, tags = "", 0.0, [], {}
    for level, text in messages:
        if text.startswith(("Stream mapping", "Output #")):
            break
        if level != "info":
            continue
        if text.startswith("Input #0, "):
            container = text[len("Input #0, ") :].split(", from")[0]
        elif duration := _DURATION.match(text):
            seconds = int(duration[1]) * 3600 + int(duration[2]) * 60 + float(duration[3])
        elif stream := _STREAM.match(text):
            streams.append(MediaStream(int(stream[1]), stream[3], stream[4]))
        elif not streams and (tag := re.match(r" {4}(\w+)\s*: (.*)", text)) and tag[1].lower() in _TAGS:
            tags[_TAGS[tag[1].lower()]] = tag[2]
    return Contents(container, seconds, tuple(streams), tags)
