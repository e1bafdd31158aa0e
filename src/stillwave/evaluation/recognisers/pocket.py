"""CMU PocketSphinx. Its package carries a US English model (acoustic, dictionary, trigrams): nothing else is needed.

It is small and of 2010's technology: it gets about every other word of clean read speech by an unfamiliar
voice wrong. Use it to see that a score works, or which of two systems is ahead, not for published figures.
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
    """The decoder with its defaults."""

    name = "pocketsphinx"

    def __init__(self, options: str = "") -> None:
        if options:
            raise RecogniserError(f"pocketsphinx:{options}: it takes no options; write 'pocketsphinx'")
        if importlib.util.find_spec("pocketsphinx") is None:
            raise MissingExtraError("the recogniser 'pocketsphinx'", "asr")

    @property
    def version(self) -> str:
        """Of the package, which is that of the model."""
        return importlib.metadata.version("pocketsphinx")

    @cached_property
    def _decoder(self) -> Any:
        from pocketsphinx import Decoder

        return Decoder(samprate=SAMPLE_RATE, loglevel="FATAL")

    def transcribe(self, samples: Samples, rate: int) -> str:
        """The words of samples `[n]`, lower case."""
        whole = np.clip(at_16_khz(samples, rate), -1, 1) * 32767
        decoder = self._decoder
        # Its estimate of the noise is carried from one utterance to the next: the same recording, heard twice, came
        # out as two texts. A new front end forgets.
        decoder.reinit_feat()
        decoder.start_utt()
        decoder.process_raw(np.rint(whole).astype("<i2").tobytes(), full_utt=True)
        decoder.end_utt()
        found = decoder.hyp()
        return found.hypstr if found else ""
