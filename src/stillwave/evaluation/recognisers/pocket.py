"""CMU PocketSphinx, whose package includes a US English model (acoustic model, dictionary, trigrams).

It is small and old (2010): about half of the words of clean read speech by an unfamiliar voice are wrong. Use it to
test an evaluation or to rank two systems, not for published results.
"""

from __future__ import annotations

import importlib.metadata
import importlib.util
from functools import cached_property
from typing import Any

import numpy as np

from stillwave.audio import Samples
from stillwave.errors import MissingExtraError
from stillwave.evaluation.recognisers.contract import RecogniserError, at_16_khz
from stillwave.schema import SAMPLE_RATE


class PocketSphinx:
    """The decoder with its default settings."""

    name = "pocketsphinx"

    def __init__(self, options: str = "") -> None:
        if options:
            raise RecogniserError(f"pocketsphinx:{options}: there are no options; write 'pocketsphinx'")
        if importlib.util.find_spec("pocketsphinx") is None:
            raise MissingExtraError("the recogniser 'pocketsphinx'", "asr")

    @property
    def version(self) -> str:
        """The version of the package, which includes the model."""
        return importlib.metadata.version("pocketsphinx")

    @cached_property
    def _decoder(self) -> Any:
        from pocketsphinx import Decoder

        return Decoder(samprate=SAMPLE_RATE, loglevel="FATAL")

    def transcribe(self, samples: Samples, rate: int) -> str:
        """Return the words of samples `[N]` in lower case."""
        pcm = np.clip(at_16_khz(samples, rate), -1, 1) * 32767
        decoder = self._decoder
        # The noise estimate persists between utterances, so that a transcript would depend on previous recordings;
        # a new front end resets it.
        decoder.reinit_feat()
        decoder.start_utt()
        decoder.process_raw(np.rint(pcm).astype("<i2").tobytes(), full_utt=True)
        decoder.end_utt()
        found = decoder.hyp()
        return found.hypstr if found else ""
