"""A program as a recogniser: it reads a WAV file and prints the transcript."""

from __future__ import annotations

import shlex
import shutil
import subprocess
import tempfile
from pathlib import Path

from stillwave.audio import Samples, write
from stillwave.evaluation.recognisers.contract import NoTranscriptError, RecogniserError, at_16_khz
from stillwave.schema import SAMPLE_RATE

PLACE = "{wav}"
TIMEOUT = 600.0
"""The time limit for one recording in seconds."""


class CommandRecogniser:
    """`cmd: PROGRAM … {wav} …`, split into words as by a shell and run without one; the transcript is its stdout.

    The temporary file is mono, 16 bit, 16 kHz. The program is started once for each recording.
    """

    version = ""

    def __init__(self, line: str, timeout: float = TIMEOUT) -> None:
        try:
            self._words = shlex.split(line)
        except ValueError as error:
            raise RecogniserError(f"cmd: {line}: cannot be split into words ({error})") from None
        if not self._words or not any(PLACE in word for word in self._words[1:]):
            raise RecogniserError(f"cmd: {line}: write {PLACE} in place of the file name, e.g. 'asr {PLACE}'")
        if shutil.which(self._words[0]) is None:
            raise RecogniserError(f"cmd: {line}: there is no program '{self._words[0]}'")
        self._line, self._timeout = line, timeout

    @property
    def name(self) -> str:
        """The command line."""
        return f"cmd: {self._line}"

    def transcribe(self, samples: Samples, rate: int) -> str:
        """Return the output of the program. Raises NoTranscriptError if it fails or exceeds the time limit."""
        with tempfile.TemporaryDirectory(prefix="stillwave-asr") as folder:
            wav = Path(folder) / "clip.wav"
            write(wav, at_16_khz(samples, rate)[None], SAMPLE_RATE, subtype="PCM_16")
            arguments = [word.replace(PLACE, str(wav)) for word in self._words]
            done = self._run(arguments)
        if done.returncode:
            raise NoTranscriptError(
                f"the program ended with exit code {done.returncode}{_last_line(done.stderr, wav)}"
            )
        return done.stdout.decode("utf-8", errors="replace")

    def _run(self, arguments: list[str]) -> subprocess.CompletedProcess[bytes]:
        try:
            return subprocess.run(
                arguments, stdin=subprocess.DEVNULL, capture_output=True, timeout=self._timeout, check=False
            )
        except subprocess.TimeoutExpired:
            raise NoTranscriptError(f"the program exceeded {self._timeout:g} s") from None
        except OSError as error:
            raise RecogniserError(f"{self.name}: cannot be started ({error.strerror})") from None


def _last_line(stderr: bytes, wav: Path) -> str:
    """Return the last line of stderr without the name of the temporary file."""
    lines = stderr.decode("utf-8", errors="replace").strip().splitlines()
    return f": {lines[-1].strip().replace(str(wav), 'the file')}" if lines else ""
