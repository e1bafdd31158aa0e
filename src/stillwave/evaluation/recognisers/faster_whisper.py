"""Whisper with faster-whisper (CTranslate2), greedy decoding in English, from a local folder."""

from __future__ import annotations

import importlib.metadata
import importlib.util
from functools import cached_property
from pathlib import Path
from typing import Any

from stillwave.audio import Samples
from stillwave.evaluation.recognisers import local
from stillwave.evaluation.recognisers.contract import RecogniserError, Recognition, at_16_khz

FILES = ("model.bin", "config.json", "tokenizer.json")


class FasterWhisper:
    """A folder of faster-whisper, such as `Systran/faster-whisper-tiny.en`. Runs on one core, on any length."""

    def __init__(self, path: str) -> None:
        wanted = f"a folder with {', '.join(FILES)}, such as those of Systran/faster-whisper-tiny.en"
        if not path:
            raise RecogniserError(
                f"faster-whisper: expected faster-whisper:FOLDER, {wanted}; nothing is downloaded"
            )
        self._folder = Path(path).expanduser()
        missing = [name for name in FILES if not (self._folder / name).is_file()]
        if missing:
            fault = f"lacks {', '.join(missing)}" if self._folder.is_dir() else "is not a folder"
            raise RecogniserError(f"faster-whisper:{path}: {fault}; expected {wanted}; nothing is downloaded")
        if importlib.util.find_spec("faster_whisper") is None:
            raise RecogniserError(
                f"faster-whisper:{path}: needs the 'asr' extra: pip install 'stillwave[asr]'"
            )

    @property
    def name(self) -> str:
        """The kind and the name of the folder."""
        return f"faster-whisper:{self._folder.resolve().name}"

    @cached_property
    def version(self) -> str:
        """The version of weights and package."""
        weights = local.fingerprint(self._folder / "model.bin")
        return f"{weights}, faster-whisper {importlib.metadata.version('faster-whisper')}"

    @cached_property
    def _model(self) -> Any:
        from faster_whisper import WhisperModel

        try:
            return WhisperModel(
                str(self._folder), device="cpu", compute_type="float32", cpu_threads=1, local_files_only=True
            )
        except Exception as error:  # CTranslate2 raises RuntimeError and ValueError
            reason = " ".join(str(error).split())[:200]
            raise RecogniserError(f"faster-whisper:{self._folder}: cannot be read ({reason})") from None

    def transcribe(self, samples: Samples, rate: int) -> str:
        """Return the words of samples `[N]` as sentences."""
        return self.recognise(samples, rate).text

    def recognise(self, samples: Samples, rate: int) -> Recognition:
        """Return the words of samples `[N]` and the recogniser's own confidence in them."""
        segments, _ = self._model.transcribe(
            at_16_khz(samples, rate),
            language="en",
            beam_size=1,
            temperature=0.0,
            condition_on_previous_text=False,
        )
        found = list(segments)
        tokens = sum(len(segment.tokens) for segment in found)
        total = sum(segment.avg_logprob * len(segment.tokens) for segment in found)
        return Recognition(
            " ".join(segment.text.strip() for segment in found),
            log_probability=total / tokens if tokens else None,
            repetition=max((segment.compression_ratio for segment in found), default=0.0),
        )
