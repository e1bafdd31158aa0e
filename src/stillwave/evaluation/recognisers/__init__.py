"""Speech recognisers behind one contract. Nothing is ever downloaded.

| written as | what it is |
|---|---|
| `pocketsphinx` | CMU PocketSphinx with the US English model that its package carries; small, for tests and trends |
| `wav2vec2:FOLDER` | wav2vec2 (CTC) through transformers; L3DAS scores with `facebook/wav2vec2-base-960h` |
| `whisper:PATH` | Whisper: a folder through transformers, a `.pt` file through openai-whisper |
| `cmd: PROGRAM {wav}` | any program that is given a WAV file (mono, 16 bit, 16 kHz) and prints the transcript |
"""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache

from stillwave.errors import nearest
from stillwave.evaluation.recognisers.command import CommandRecogniser
from stillwave.evaluation.recognisers.contract import NoTranscriptError, Recogniser, RecogniserError, identity
from stillwave.evaluation.recognisers.pocket import PocketSphinx
from stillwave.evaluation.recognisers.wav2vec2 import Wav2Vec2
from stillwave.evaluation.recognisers.whisper import whisper

__all__ = ["RECOGNISERS", "NoTranscriptError", "Recogniser", "RecogniserError", "identity", "load"]

RECOGNISERS: dict[str, Callable[[str], Recogniser]] = {
    "pocketsphinx": PocketSphinx,
    "wav2vec2": Wav2Vec2,
    "whisper": whisper,
    "cmd": CommandRecogniser,
}
"""What stands before the colon → what makes a recogniser of the rest."""


@lru_cache(maxsize=2)
def load(text: str) -> Recogniser:
    """The recogniser that a text names, the same object for the same text: one a process.

    What it needs is checked here; its weights are read when it first hears something.
    Raises RecogniserError for a text that names none, or one that lacks something.
    """
    kind, _, rest = text.partition(":")
    if kind.strip() not in RECOGNISERS:
        raise RecogniserError(
            f"there is no recogniser '{kind.strip()}'; {nearest(kind.strip(), RECOGNISERS)} "
            "(any program: 'cmd: PROGRAM {wav}')"
        )
    return RECOGNISERS[kind.strip()](rest.strip())
