"""Any program as a recogniser: it is given a WAV file and prints the transcript."""

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
"""Seconds that a program has for one recording."""


class CommandRecogniser:
    """`cmd: PROGRAM … {wav} …`: split as a shell would, run without one. What it prints on stdout is the transcript.

    The file is mono, 16 bit, 16 kHz, and gone afterwards. The program is started once a recording.
    """

    version = ""

    def __init__(self, line: str, timeout: float = TIMEOUT) -> None:
        try:
            self._words = shlex.split(line)
        except ValueError as error:
            raise RecogniserError(f"cmd: {line}: cannot be split into words ({error})") from None
        if not self._words or not any(PLACE in word for word in self._words[1:]):
            raise RecogniserError(
                f"cmd: {line}: write {PLACE} where the program wants the file, e.g. 'asr {PLACE}'"
            )
        if shutil.which(self._words[0]) is None:
            raise RecogniserError(f"cmd: {line}: there is no program '{self._words[0]}'")
        self._line, self._timeout = line, timeout

    @property
    def name(self) -> str:
        """The line itself."""
        return f"cmd: {self._line}"

    def transcribe(self, samples: Samples, rate: int) -> str:
        """What the program prints for samples `[n]`. Raises NoTranscriptError where it fails or takes too long."""
        with tempfile.TemporaryDirectory(prefix="stillwave-asr") as folder:
            wav = Path(folder) / "clip.wav"
            write(wav, at_16_khz(samples, rate)[None], SAMPLE_RATE, subtype="PCM_16")
            words = [word.replace(PLACE, str(wav)) for word in self._words]
            done = self._run(words)
        if done.returncode:
            raise NoTranscriptError(
                f"the program ended with status {done.returncode}{_last_line(done.stderr, wav)}"
            )
        return done.stdout.decode("utf-8", errors="replace")

    def _run(self, words: list[str]) -> subprocess.CompletedProcess[bytes]:
        try:
            return subprocess.run(
                words, stdin=subprocess.DEVNULL, capture_output=True, timeout=self._timeout, check=False
            )
        except subprocess.TimeoutExpired:
            raise NoTranscriptError(f"the program did not end within {self._timeout:g} s") from None
        except OSError as error:
            raise RecogniserError(f"{self.name}: cannot be started ({error.strerror})") from None


def _last_line(stderr: bytes, wav: Path) -> str:
    """What it said last, without the file's name, which is another one every time."""
    lines = stderr.decode("utf-8", errors="replace").strip().splitlines()
    return f": {lines[-1].strip().replace(str(wav), 'the file')}" if lines else ""
