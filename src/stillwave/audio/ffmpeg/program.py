"""The program: found on the PATH, started for one local file, and its words made a sentence.

Only the file itself is opened: the protocol is `file:` (so that `http:` and `concat:` in a name mean nothing, and a
dash in front is no option), and playlists are no format that is allowed.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import threading
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from stillwave.audio.ffmpeg.kinds import DEMUXERS, MEDIA, MEDIA_FORMATS
from stillwave.errors import AudioError

_MOST, _LONGEST = 2_000, 1_000
"""Messages that are kept, and characters of each."""
_MESSAGE = re.compile(r"(?:\[[^\]]* @ \w+\] )*\[(\w+)\] ?(.*)")
_STREAM = re.compile(r"\s*Stream #0:(\d+)(?:\[\w+\])?(?:\((.*?)\))?: (\w+): (.*)")
_DURATION = re.compile(r"\s*Duration: (\d+):(\d\d):(\d\d(?:\.\d+)?)")
_TAGS = {
    "title": "title", "artist": "artist", "album": "album", "comment": "comment", "date": "date", "genre": "genre",
    "copyright": "copyright", "track": "tracknumber",
}  # fmt: skip


def found() -> str | None:
    """Where ffmpeg is; None where it is not on the PATH."""
    return shutil.which("ffmpeg")


@dataclass(frozen=True)
class MediaStream:
    """A stream of a file: its number, `Audio`, `Video`, `Subtitle`, …, and ffmpeg's description, codec first."""

    number: int
    kind: str
    description: str

    @property
    def codec(self) -> str:
        """The name of the codec, as ffmpeg calls it."""
        return re.split(r"[ ,]", self.description, maxsplit=1)[0]

    @property
    def layout(self) -> str:
        """The loudspeakers, such as `stereo` or `5.1(side)`; empty where they are not known."""
        found = re.search(r" Hz, ([^,]+)", self.description)
        return found[1] if found and "channels" not in found[1] else ""

    @property
    def kbps(self) -> int | None:
        """The bit rate, where it is known."""
        rate = re.search(r"(\d+) kb/s", self.description)
        return int(rate[1]) if rate else None


@dataclass(frozen=True)
class Contents:
    """What a file holds, as ffmpeg prints it."""

    container: str
    seconds: float
    """0 for unknown."""
    streams: tuple[MediaStream, ...]
    tags: dict[str, str]

    def of(self, kind: str) -> list[MediaStream]:
        """The streams of a kind."""
        return [stream for stream in self.streams if stream.kind == kind]


class FfmpegProcess:
    """ffmpeg at work. `close` ends it, whatever it does."""

    def __init__(self, path: Path, arguments: list[str], **pipes: Any) -> None:
        program = found()
        if program is None:
            named = path.suffix.lower() in MEDIA or path.suffix.lower() in MEDIA_FORMATS
            what = f"'{path.suffix}' files need" if named else "its format needs"
            raise AudioError(
                f"{path}: {what} ffmpeg, which is not on the PATH; install it (apt, dnf, brew or winget install "
                "ffmpeg), or convert the file to wav"
            )
        self._path = path
        # Out of the terminal's group: on Ctrl-C this process decides what becomes of it.
        group: dict[str, Any] = {"start_new_session": True}
        if sys.platform == "win32":
            group = {"creationflags": subprocess.CREATE_NEW_PROCESS_GROUP}
        try:
            self._process = subprocess.Popen(
                [program, *_QUIET, *arguments],
                stderr=subprocess.PIPE,
                env={**os.environ, "AV_LOG_FORCE_NOCOLOR": "1", "LC_ALL": "C"},
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
        """Wait for its end; its exit status."""
        status = self._process.wait()
        self._listener.join()
        return status

    def contents(self) -> Contents:
        """What its first input holds, once it has looked into it."""
        self._introduced.wait()
        return _contents(self._messages)

    def errors(self) -> list[str]:
        """Its errors in its own words, without the file's name."""
        name = f"{location(self._path)}: "
        found = [
            text.replace(name, "").strip() for level, text in self._messages if level in ("error", "fatal")
        ]
        return [text for text in found if text and not text.startswith("Error opening input file")]

    def first_error(self) -> str:
        """The first of its errors, as the end of a sentence."""
        errors = self.errors()
        first = errors[0].rstrip(".") if errors else "it gave no reason"
        return _PLAINER.get(first, first)

    def close(self) -> None:
        """End it if it has not ended, and let go of its pipes."""
        if self._process.poll() is None:
            self._process.kill()
        self.wait()
        for pipe in (self.stdin, self.stdout, self._process.stderr):
            if pipe is not None:
                with suppress(OSError):  # what was not written has nowhere to go
                    pipe.close()


_PLAINER = {"moov atom not found": "its index (moov) is missing, so it is cut short or no such file"}
_QUIET = ["-hide_banner", "-nostdin", "-nostats", "-loglevel", "level+info"]


def location(path: Path) -> str:
    """A file's name as ffmpeg takes it for nothing else."""
    return f"file:{path}"


def source(path: Path) -> list[str]:
    """The options of an input file."""
    return ["-protocol_whitelist", "file", "-format_whitelist", DEMUXERS, "-i", location(path)]


def inspect(path: Path) -> Contents:
    """What a file holds. Raises `AudioError` where ffmpeg cannot open it."""
    process = FfmpegProcess(path, source(path))
    try:
        process.wait()
        made = process.contents()
        if not made.streams:
            raise AudioError(f"{path}: cannot be decoded by ffmpeg: {process.first_error()}")
        return made
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
