"""Speech recognisers with one interface. Nothing is downloaded.

| name | recogniser |
|---|---|
| `pocketsphinx` | CMU PocketSphinx with the US English model of its package; small, for tests and trends |
| `wav2vec2:FOLDER` | wav2vec2 (CTC) with transformers; L3DAS uses `facebook/wav2vec2-base-960h` |
| `FOLDER` or `faster-whisper:FOLDER` | Whisper with faster-whisper; fast, no PyTorch |
| `whisper:PATH` | Whisper: a folder with transformers, a `.pt` file with openai-whisper |
| `cmd: PROGRAM {wav}` | any program that reads a WAV file (mono, 16 bit, 16 kHz) and prints the transcript |
"""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache

from stillwave.errors import nearest
from stillwave.evaluation.recognisers.command import CommandRecogniser
from stillwave.evaluation.recognisers.contract import NoTranscriptError, Recogniser, RecogniserError, identity
from stillwave.evaluation.recognisers.faster_whisper import FasterWhisper
from stillwave.evaluation.recognisers.pocket import PocketSphinx
from stillwave.evaluation.recognisers.wav2vec2 import Wav2Vec2
from stillwave.evaluation.recognisers.whisper import whisper
from stillwave.files import as_path

__all__ = ["RECOGNISERS", "NoTranscriptError", "Recogniser", "RecogniserError", "identity", "load"]

RECOGNISERS: dict[str, Callable[[str], Recogniser]] = {
    "pocketsphinx": PocketSphinx,
    "wav2vec2": Wav2Vec2,
    "faster-whisper": FasterWhisper,
    "whisper": whisper,
    "cmd": CommandRecogniser,
}
"""The prefix before the colon → a function that returns a recogniser from the rest."""


@lru_cache(maxsize=2)
def load(text: str) -> Recogniser:
    """Return a recogniser by name; the same object for the same name.

    Its requirements are checked here; its weights are read at the first transcription.

    Args:
        text: A name of the table above, e.g. `pocketsphinx` or `wav2vec2:FOLDER`. A folder alone is one of
            faster-whisper.

    Returns:
        The recogniser.

    Raises:
        RecogniserError: An unknown name, or missing files or packages.

    """
    kind, _, rest = text.partition(":")
    if kind.strip() not in RECOGNISERS and ((kind and as_path(text).is_dir()) or "/" in kind):
        return FasterWhisper(text)
    if kind.strip() not in RECOGNISERS:
        raise RecogniserError(
            f"there is no recogniser '{kind.strip()}'; {nearest(kind.strip(), RECOGNISERS)} "
            "(for any other program: 'cmd: PROGRAM {wav}')"
        )
    return RECOGNISERS[kind.strip()](rest.strip())
