"""wav2vec2 with a CTC head and greedy decoding, as in the L3DAS challenges.

Source: `metrics.py` of github.com/l3das/L3DAS23 (wav2vec2-base-960h; the largest logit of each frame; no language
model). Recordings are normalised to mean 0 and variance 1 if the configuration of the model requires it.
"""

from __future__ import annotations

from functools import cached_property
from typing import Any

from stillwave.audio import Samples
from stillwave.evaluation.recognisers import local
from stillwave.evaluation.recognisers.contract import NoTranscriptError, at_16_khz
from stillwave.schema import SAMPLE_RATE

SHORTEST = 400
"""The samples of the first frame."""


class Wav2Vec2:
    """A folder with `facebook/wav2vec2-base-960h` or a similar CTC model. Runs on the CPU."""

    def __init__(self, path: str) -> None:
        files = ("config.json", "vocab.json", "preprocessor_config.json")
        self._folder = local.find("wav2vec2", path, files, "facebook/wav2vec2-base-960h")

    @property
    def name(self) -> str:
        """The kind and the name of the folder."""
        return f"wav2vec2:{self._folder.resolve().name}"

    @cached_property
    def version(self) -> str:
        """The version of weights and package."""
        return local.version(self._folder)

    @cached_property
    def _parts(self) -> tuple[Any, Any, Any]:
        import transformers

        names = ("Wav2Vec2FeatureExtractor", "Wav2Vec2CTCTokenizer", "Wav2Vec2ForCTC")
        before, after, model = (local.read("wav2vec2", self._folder, getattr(transformers, n)) for n in names)
        return before, after, model.eval()

    def transcribe(self, samples: Samples, rate: int) -> str:
        """Return the words of samples `[N]` as the model writes them (upper case and apostrophes)."""
        samples = at_16_khz(samples, rate)
        if len(samples) < SHORTEST:
            raise NoTranscriptError(f"too short for wav2vec2 (at least {SHORTEST} samples at 16 kHz)")
        before, after, model = self._parts
        with local.quiet(), local.exact():
            values = before(samples, sampling_rate=SAMPLE_RATE, return_tensors="pt").input_values
            tokens = model(values).logits.argmax(-1)
        return str(after.batch_decode(tokens)[0])
