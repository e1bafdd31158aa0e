"""Choose between a recording and its enhanced version for a speech recogniser, without a reference text.

The recogniser transcribes both, and the version whose words it considers more probable is kept (`choose`). What that
does to word error rates: docs/how-to/word-error-rate.md, "Enhance for a recogniser".
"""

from __future__ import annotations

import threading
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from stillwave.audio import Samples, open_reader
from stillwave.evaluation.recognisers import identity, load
from stillwave.evaluation.recognisers.contract import ConfidentRecogniser, RecogniserError, Recognition

if TYPE_CHECKING:
    from stillwave.inference import Enhancer

LIMIT_DB = 12.0
"""Greatest reduction of noise in the enhanced version; of the limits that were compared, that with the lowest WER."""
MARGIN = 0.05
"""By how much the mean log probability of the enhanced version must be above the original's. The lowest WER of the
margins that were compared, with the fewest recordings changed."""
REPEATED = 2.4
"""From this `Recognition.repetition` on, a text is repetition; the value of Whisper's own decoder."""
_EXCERPT_SECONDS, _MOST_EXCERPTS = 30, 20


@dataclass(frozen=True)
class Choice:
    """Which version is kept, and why, in one sentence."""

    enhanced: bool
    reason: str


def choose(original: Recognition, enhanced: Recognition, margin: float = MARGIN) -> Choice:
    """Return the version that a recogniser is surer of; the original unless the enhanced one is better by `margin`.

    A version without words or with repeated text is kept only if the other one is no better.

    Examples:
        >>> choose(Recognition("a cat", -0.5), Recognition("a hat", -0.3)).enhanced
        True
        >>> choose(Recognition("a cat", -0.5), Recognition("", None))
        Choice(enhanced=False, reason='the recogniser finds no words in the enhanced version')

    """
    for kept, other, name in ((False, enhanced, "enhanced"), (True, original, "original")):
        rest = original if other is enhanced else enhanced
        for fault, sentence in (
            (_without_words, f"the recogniser finds no words in the {name} version"),
            (_repeated, f"the recogniser repeats words in the {name} version"),
        ):
            if fault(other) and not fault(rest):
                return Choice(kept, sentence)
    if original.log_probability is None or enhanced.log_probability is None:
        return Choice(False, "the recogniser finds no words")
    better = enhanced.log_probability > original.log_probability + margin
    figures = f"{enhanced.log_probability:.2f} enhanced, {original.log_probability:.2f} original"
    return Choice(better, f"mean log probability of the words: {figures}")


def _without_words(found: Recognition) -> bool:
    return found.log_probability is None or not found.text.strip()


def _repeated(found: Recognition) -> bool:
    return found.repetition >= REPEATED


class Guard:
    """Compares a recording with its enhanced version by a recogniser.

    At most ten minutes of a recording are compared, in excerpts of 30 s at equal distances, so that time and memory
    are bounded. Channels are averaged. Several threads take turns.

    Args:
        enhancer: The network.
        recogniser: Name of a recogniser that states its confidence, as `faster-whisper:FOLDER`.
        limit_db: Greatest reduction of noise in the enhanced version.

    Raises:
        RecogniserError: The recogniser cannot be used, or does not state its confidence.

    """

    def __init__(self, enhancer: Enhancer, recogniser: str, limit_db: float = LIMIT_DB) -> None:
        found = load(recogniser)
        if not isinstance(found, ConfidentRecogniser):
            raise RecogniserError(
                f"{recogniser}: does not state its confidence, which the guard compares; "
                "use faster-whisper:FOLDER"
            )
        self._enhancer, self._recogniser, self.limit_db = enhancer, found, limit_db
        self._lock = threading.Lock()

    @property
    def name(self) -> str:
        """Name and version of the recogniser."""
        return identity(self._recogniser)

    def choose(self, file: Path) -> Choice:
        """Return which version of a recording to keep. Raises AudioError if it cannot be read."""
        with self._lock:
            pairs = [self._recognised(samples, rate) for samples, rate in _excerpts(file)]
        return choose(_joined([pair[0] for pair in pairs]), _joined([pair[1] for pair in pairs]))

    def _recognised(self, samples: Samples, rate: int) -> tuple[Recognition, Recognition]:
        enhanced = self._enhancer.enhance(samples, rate, limit_db=self.limit_db)
        both = (np.ascontiguousarray(version.mean(0)) for version in (samples, enhanced))
        original, better = (self._recogniser.recognise(version, rate) for version in both)
        return original, better


def _joined(found: list[Recognition]) -> Recognition:
    """Return several excerpts as one recognition; log probabilities are weighted by the words."""
    counts = [len(one.text.split()) for one in found if one.log_probability is not None]
    values = [one.log_probability for one in found if one.log_probability is not None]
    mean = float(np.average(values, weights=counts)) if sum(counts) else None
    return Recognition(
        " ".join(one.text for one in found if one.text),
        log_probability=mean,
        repetition=max((one.repetition for one in found), default=0.0),
    )


def _excerpts(file: Path) -> Iterator[tuple[Samples, int]]:
    """Yield excerpts `[channels, n]` and their rate."""
    with open_reader(file) as reader:
        rate, size = reader.info.sample_rate, _EXCERPT_SECONDS * reader.info.sample_rate
        step = max(size, reader.info.frames // _MOST_EXCERPTS)
        for i in range(_MOST_EXCERPTS):
            reader.seek(i * step)
            samples = reader.read(size)
            if samples.shape[1]:
                yield samples, rate
            if samples.shape[1] < size:
                return
