"""A program as a denoiser: it reads one WAV file and writes another."""

from __future__ import annotations

import contextlib
import os
import shlex
import shutil
import signal
import subprocess
import tempfile
from pathlib import Path
from typing import IO

import numpy as np

from stillwave.audio import Samples, read, resample, write
from stillwave.errors import AudioError
from stillwave.external.contract import ExternalDenoiser, ExternalError, one_channel
from stillwave.files import sha256

IN, OUT = "{in}", "{out}"
TIMEOUT = 60.0
"""The time limit for one example in seconds."""


class CommandDenoiser(ExternalDenoiser):
    """`tool {in} {out}`, split into words as by a shell and run without one, once for each example.

    The file `{in}` is a mono WAV file of 16 bit; `{out}` may have another sampling rate and is then resampled. The
    identity covers the command line, the program and every file that it names.

    Args:
        line: The command line.
        rate: Sampling rate of `{in}` in Hz.
        timeout: Seconds for one example.

    Raises:
        ExternalError: `{in}` or `{out}` is missing, or there is no such program.

    """

    def __init__(self, line: str, rate: int, timeout: float = TIMEOUT) -> None:
        name = f"command '{line}'"
        try:
            self._words = shlex.split(line)
        except ValueError as error:
            raise ExternalError(f"{name}: cannot be split into words ({error})") from None
        for place in (IN, OUT):
            if not any(place in word for word in self._words[1:]):
                raise ExternalError(f"{name}: write {place} in place of a file name, as in 'tool {IN} {OUT}'")
        program = shutil.which(self._words[0])
        if program is None:
            raise ExternalError(f"{name}: there is no program '{self._words[0]}'")
        files = [Path(program), *(Path(word) for word in self._words[1:])]
        known = [sha256(file) for file in files if file.is_file() and os.access(file, os.R_OK)]
        super().__init__(name, rate, ["command", line, *known])
        self._timeout = timeout

    def run(self, samples: Samples) -> Samples:
        """Return the estimate for one example `[n]`. Raise ExternalError if the program fails."""
        peak = max(1.0, float(np.abs(samples).max(initial=0)))  # 16 bit clips at full scale
        with tempfile.TemporaryDirectory(prefix="stillwave-command") as folder:
            source, target = Path(folder) / "in.wav", Path(folder) / "out.wav"
            write(source, samples[None] / np.float32(peak), self.rate, subtype="PCM_16")
            self._call(source, target, Path(folder))
            return self._read(target, len(samples)) * np.float32(peak)

    def _call(self, source: Path, target: Path, folder: Path) -> None:
        words = [word.replace(IN, str(source)).replace(OUT, str(target)) for word in self._words]
        messages = (
            folder / "messages"
        )  # a file: a pipe would stay open in a process that the program has started
        with messages.open("wb") as stream:
            code = self._wait(words, stream)
        if code:
            last = _last_line(messages).replace(str(folder) + os.sep, "")
            raise ExternalError(f"{self.name}: ended with exit code {code}{': ' if last else ''}{last}")

    def _wait(self, words: list[str], messages: IO[bytes]) -> int:
        try:
            process = subprocess.Popen(
                words,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=messages,
                start_new_session=True,
            )
        except OSError as error:
            raise ExternalError(f"{self.name}: cannot be started ({error.strerror or error})") from None
        try:
            return process.wait(self._timeout)
        except subprocess.TimeoutExpired:
            raise ExternalError(
                f"{self.name}: exceeded {self._timeout:g} s for an example; raise distill.teacher_timeout, or "
                "--timeout of the arena, if it is slow"
            ) from None
        finally:
            _end(process)

    def _read(self, target: Path, length: int) -> Samples:
        if not target.exists():
            raise ExternalError(f"{self.name}: wrote no file {OUT}; it must write one")
        try:
            rows, rate = read(target)
        except AudioError as error:
            reason = str(error).replace(str(target), OUT)
            raise ExternalError(f"{self.name}: wrote a file that cannot be read ({reason})") from None
        if len(rows) > 1:
            raise ExternalError(
                f"{self.name}: returned {len(rows)} channels for one; it must return one channel"
            )
        if rate == self.rate:
            return one_channel(self.name, rows)
        if abs(rows.shape[1] - length * rate / self.rate) > 1:
            raise ExternalError(
                f"{self.name}: returned {rows.shape[1]} samples at {rate} Hz for {length} at {self.rate} Hz; "
                "it must return the same duration"
            )
        back = resample(rows, rate, self.rate)[0][:length]
        return np.pad(back, (0, length - len(back)))


def _end(process: subprocess.Popen[bytes]) -> None:
    """End a program and the processes that it has started."""
    if process.poll() is None:
        with contextlib.suppress(OSError):
            if hasattr(os, "killpg"):
                os.killpg(process.pid, signal.SIGKILL)
            else:
                process.kill()
        process.wait()


def _last_line(file: Path) -> str:
    lines = file.read_bytes()[-4096:].decode("utf-8", errors="replace").strip().splitlines()
    return lines[-1].strip() if lines else ""
