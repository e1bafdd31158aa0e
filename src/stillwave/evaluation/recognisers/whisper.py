"""Whisper with greedy decoding, in English: a folder with transformers, a `.pt` file with openai-whisper."""

from __future__ import annotations

import importlib.metadata
import importlib.util
from functools import cached_property
from pathlib import Path
from typing import Any

from stillwave.audio import Samples
from stillwave.evaluation.recognisers import local
from stillwave.evaluation.recognisers.contract import (
    NoTranscriptError,
    Recogniser,
    RecogniserError,
    at_16_khz,
)
from stillwave.schema import SAMPLE_RATE

LONGEST = 30
"""The input length of the network in seconds."""


def whisper(path: str) -> Recogniser:
    """Return the recogniser of a `.pt` file or folder. Raises RecogniserError if it cannot be used."""
    return WhisperFile(path) if path.endswith(".pt") else WhisperFolder(path)


class WhisperFolder:
    """A folder such as `openai/whisper-base.en`. Runs on the CPU; recordings of up to 30 s."""

    def __init__(self, path: str) -> None:
        files = ("config.json", "preprocessor_config.json", "vocab.json", "merges.txt")
        self._folder = local.find("whisper", path, files, "openai/whisper-base.en")

    @property
    def name(self) -> str:
        """The kind and the name of the folder."""
        return f"whisper:{self._folder.resolve().name}"

    @cached_property
    def version(self) -> str:
        """The version of weights and package."""
        return local.version(self._folder)

    @cached_property
    def _parts(self) -> tuple[Any, Any, Any]:
        import transformers

        names = ("WhisperFeatureExtractor", "WhisperTokenizer", "WhisperForConditionalGeneration")
        before, after, model = (local.read("whisper", self._folder, getattr(transformers, n)) for n in names)
        return before, after, model.eval()

    def transcribe(self, samples: Samples, rate: int) -> str:
        """Return the words of samples `[N]` as sentences. Raises NoTranscriptError beyond 30 s."""
        samples = at_16_khz(samples, rate)
        if len(samples) > LONGEST * SAMPLE_RATE:
            raise NoTranscriptError(
                f"too long for Whisper with transformers (at most {LONGEST} s); use a .pt file"
            )
        before, after, model = self._parts
        multilingual = getattr(model.generation_config, "is_multilingual", False)
        language = {"language": "en", "task": "transcribe"} if multilingual else {}
        with local.quiet(), local.exact():
            features = before(samples, sampling_rate=SAMPLE_RATE, return_tensors="pt").input_features
            tokens = model.generate(features, do_sample=False, num_beams=1, **language)
        return str(after.batch_decode(tokens, skip_special_tokens=True)[0])


class WhisperFile:
    """A checkpoint of openai-whisper. Runs on the CPU, on recordings of any length."""

    def __init__(self, path: str) -> None:
        self._file = Path(path).expanduser()
        if not self._file.is_file():
            raise RecogniserError(f"whisper:{path}: there is no such file; nothing is downloaded")
        if importlib.util.find_spec("whisper") is None:
            raise RecogniserError(
                f"whisper:{path}: a .pt file needs openai-whisper: pip install openai-whisper"
            )

    @property
    def name(self) -> str:
        """The kind and the name of the file."""
        return f"whisper:{self._file.stem}"

    @cached_property
    def version(self) -> str:
        """The version of weights and package."""
        package = importlib.metadata.version("openai-whisper")
        return f"{local.fingerprint(self._file)}, openai-whisper {package}"

    @cached_property
    def _model(self) -> Any:
        from whisper import load_model

        try:
            return load_model(str(self._file), device="cpu")
        except Exception as error:  # unpickling raises any exception
            raise RecogniserError(f"whisper:{self._file}: cannot be read ({type(error).__name__})") from None

    def transcribe(self, samples: Samples, rate: int) -> str:
        """Return the words of samples `[N]` as sentences."""
        with local.exact():
            found = self._model.transcribe(
                at_16_khz(samples, rate),
                language="en",
                temperature=0.0,
                fp16=False,
                condition_on_previous_text=False,
            )
        return str(found["text"])
