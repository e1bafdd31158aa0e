"""Synthesise speech with espeak-ng through ctypes.

The C library keeps state between sentences (flutter, aspiration), so that samples depend on the sentences before. The
same sentences in the same order in a new process give the same samples, for which
this module can be run (`python -m stillwave.data.demo.espeak`; see `speak_in_process`).
"""

from __future__ import annotations

import ctypes
import json
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from stillwave.audio import Samples
from stillwave.errors import MissingExtraError, StillwaveError

_SYNCHRONOUS = 2  # samples go to the callback, nothing is played
_DONT_EXIT = 0x8000  # on an error return instead of ending the process
_UTF8 = 1
_IPA, _BETWEEN = 2, "_"
_STRESS = str.maketrans("", "", "ˈˌ")
_RATE, _VOLUME, _PITCH, _RANGE = 1, 2, 3, 4
_VOLUME_PERCENT = 55  # the louder variants clip at the default of 100
_LONGEST_PATH = 120  # espeak-ng copies the path of its data into a buffer of 160 bytes


@dataclass(frozen=True)
class Voice:
    """The settings of a speaker of the demo corpus.

    `pitch` and `intonation` are espeak's 0 to 100; `words_per_minute` is 80 to 450.
    """

    language: str
    variant: str
    pitch: int = 50
    intonation: int = 50
    words_per_minute: int = 170

    @property
    def name(self) -> str:
        """Name in espeak, e.g. `en-us+f2`."""
        return f"{self.language}+{self.variant}"


def available() -> bool:
    """Return whether the `demo` extra is installed."""
    import importlib.util

    return importlib.util.find_spec("espeakng_loader") is not None


class Espeak:
    """The synthesiser; one per process, as the state of the C library is global."""

    def __init__(self) -> None:
        """Load the library.

        Raises MissingExtraError without `espeakng-loader`, StillwaveError when its data cannot be used.
        """
        try:
            import espeakng_loader
        except ImportError:
            raise MissingExtraError("the demo corpus", "demo") from None
        self._library = ctypes.CDLL(str(espeakng_loader.get_library_path()))
        self._library.espeak_Info.restype = ctypes.c_char_p
        data = Path(str(espeakng_loader.get_data_path()))
        self._short = tempfile.TemporaryDirectory(prefix="espeak") if len(str(data)) > _LONGEST_PATH else None
        if self._short is not None:
            link = Path(self._short.name) / data.name
            link.symlink_to(data, target_is_directory=True)
            data = link
        initialise = self._library.espeak_Initialize
        self.sample_rate: int = initialise(_SYNCHRONOUS, 0, str(data).encode(), _DONT_EXIT)
        # A second call in a process always reports success.
        if self.sample_rate <= 0 or not (data / "phontab").is_file():
            raise StillwaveError(f"{data}: espeak-ng cannot read its data; reinstall espeakng-loader")
        self._chunks: list[npt.NDArray[np.int16]] = []
        # The attribute keeps a reference, as ctypes does not.
        self._callback = _CALLBACK(self._collect)
        self._library.espeak_SetSynthCallback(self._callback)

    @property
    def version(self) -> str:
        """The version of espeak-ng, e.g. `1.52.0`."""
        text: bytes = self._library.espeak_Info(None)
        return text.decode(errors="replace").split()[0]

    def speak(self, text: str, voice: Voice) -> Samples:
        """Synthesise `text` as float32 samples `[n]` within ±1 at `sample_rate`.

        Raises StillwaveError for an unknown voice, or text that gives no samples.
        """
        if self._library.espeak_SetVoiceByName(voice.name.encode()) != 0:
            raise StillwaveError(f"espeak-ng {self.version} has no voice '{voice.name}'")
        settings = {_RATE: voice.words_per_minute, _PITCH: voice.pitch, _RANGE: voice.intonation}
        for parameter, value in (settings | {_VOLUME: _VOLUME_PERCENT}).items():
            self._library.espeak_SetParameter(parameter, value, 0)
        self._chunks.clear()
        encoded = text.encode()
        failed = self._library.espeak_Synth(encoded, len(encoded) + 1, 0, 1, 0, _UTF8, None, None)
        spoken = np.concatenate([np.zeros(0, np.int16), *self._chunks])
        if failed or not spoken.any():
            raise StillwaveError(f"espeak-ng returned no samples for '{text[:40]}' with voice '{voice.name}'")
        return spoken.astype(np.float32) / np.float32(32768)

    def phonemes(self, text: str, language: str) -> list[str]:
        """Return the phonemes of a text in a language such as `en-us`, as IPA without stress.

        Raises StillwaveError for an unknown language.
        """
        if self._library.espeak_SetVoiceByName(language.encode()) != 0:
            raise StillwaveError(f"espeak-ng {self.version} has no language '{language}'")
        translate = self._library.espeak_TextToPhonemes
        translate.restype = ctypes.c_char_p
        rest = ctypes.c_char_p(text.encode())
        clauses = []
        while rest.value:  # a clause at a time
            found: bytes | None = translate(ctypes.byref(rest), _UTF8, _IPA | ord(_BETWEEN) << 8)
            clauses.append((found or b"").decode("utf-8", errors="replace"))
        words = " ".join(clauses).translate(_STRESS).split()
        return [phoneme for word in words for phoneme in word.split(_BETWEEN) if phoneme]

    def _collect(self, samples: ctypes._Pointer[ctypes.c_short], count: int, _events: int | None) -> int:
        if samples and count > 0:
            self._chunks.append(np.ctypeslib.as_array(samples, (count,)).copy())
        return 0


_CALLBACK = ctypes.CFUNCTYPE(ctypes.c_int, ctypes.POINTER(ctypes.c_short), ctypes.c_int, ctypes.c_void_p)


def speak_to_files(voice: Voice, lines: Sequence[tuple[str, Path]], sample_rate: int) -> str:
    """Synthesise each `(text, file)` in this process, in order. Returns espeak's version."""
    import soundfile
    import soxr

    espeak = Espeak()
    for text, file in lines:
        samples = soxr.resample(espeak.speak(text, voice), espeak.sample_rate, sample_rate, "HQ")
        soundfile.write(file, samples, sample_rate, subtype="PCM_16")
    return espeak.version


def speak_in_process(voice: Voice, lines: Sequence[tuple[str, Path]], sample_rate: int) -> str:
    """Run `speak_to_files` in a new process, so that the same arguments give the same samples.

    Returns espeak's version. Raises StillwaveError with the process's own sentence when it fails.
    """
    if not available():
        raise MissingExtraError("the demo corpus", "demo")
    job = {
        "voice": asdict(voice),
        "lines": [(text, str(file)) for text, file in lines],
        "sample_rate": sample_rate,
    }
    command = [sys.executable, "-m", __spec__.name if __spec__ else __name__]
    done = subprocess.run(command, input=json.dumps(job), capture_output=True, text=True, check=False)
    if done.returncode != 0:
        reason = (done.stderr.strip().splitlines() or [f"it ended with code {done.returncode}"])[-1]
        raise StillwaveError(f"espeak-ng cannot synthesise the voice '{voice.name}': {reason}")
    return done.stdout.strip()


def _main() -> int:
    job = json.load(sys.stdin)
    lines = [(text, Path(file)) for text, file in job["lines"]]
    try:
        version = speak_to_files(Voice(**job["voice"]), lines, job["sample_rate"])
    except StillwaveError as error:
        sys.stderr.write(f"{error}\n")
        return 1
    sys.stdout.write(version + "\n")
    return 0


if __name__ == "__main__":
    raise SystemExit(_main())
