"""A clean reference and an estimate, as metrics take them."""

from __future__ import annotations

from functools import cached_property

import numpy as np

from stillwave.audio import Samples
from stillwave.errors import MetricError
from stillwave.evaluation.full_band import FullBand
from stillwave.evaluation.pesq import pesq
from stillwave.evaluation.stoi import stoi
from stillwave.evaluation.transcripts import SILENT, TranscriptPair
from stillwave.schema import SAMPLE_RATE


class SignalPair:
    """A clean reference and an estimate, with values that several metrics share; each is computed once."""

    def __init__(
        self,
        clean: Samples,
        estimate: Samples,
        transcripts: TranscriptPair | None = None,
        full_band: FullBand | None = None,
    ) -> None:
        self.clean, self.estimate, self.transcripts = clean, estimate, transcripts
        self._full_band = full_band or FullBand(clean, estimate, SAMPLE_RATE)

    @cached_property
    def full_band(self) -> FullBand:
        """The signals at the sampling rate of their files. Lengths may differ there and agree at 16 kHz."""
        fault = find_fault(self._full_band.clean, self._full_band.estimate)
        if fault:
            raise MetricError(fault)
        return self._full_band

    @cached_property
    def pesq_wb(self) -> float:
        """PESQ, wide-band."""
        return pesq(self.clean, self.estimate, "wb")

    @cached_property
    def stoi(self) -> float:
        """STOI, not extended."""
        return stoi(self.clean, self.estimate)

    @property
    def wer(self) -> float:
        """Word error rate, clipped to 1."""
        if self.transcripts is None:
            raise MetricError("there is no transcript")
        if self.transcripts.count is None:
            raise MetricError(self.transcripts.reason)
        return min(self.transcripts.count.rate, 1.0)

    @cached_property
    def composite(self) -> dict[str, float]:
        """CSIG, CBAK and COVL."""
        from stillwave.evaluation.composite import composite

        return composite(self.clean, self.estimate, self.pesq_wb)

    @property
    def phonemes(self) -> float:
        """Similarity of the phonemes of both transcripts."""
        from stillwave.evaluation.phonemes import phoneme_similarity

        if self.transcripts is None:
            raise MetricError("there is no transcript")
        reference, hypothesis = self.transcripts.reference.text, self.transcripts.hypothesis.text
        if reference is None or hypothesis is None:
            raise MetricError(self.transcripts.reason)
        return phoneme_similarity(reference, hypothesis)

    @cached_property
    def dnsmos(self) -> dict[str, float]:
        """DNSMOS P.835 of the estimate."""
        from stillwave.evaluation.dnsmos import dnsmos

        return dnsmos(self.estimate)


def find_fault(clean: Samples, estimate: Samples) -> str | None:
    """Return why no metric can compare two signals, or None."""
    for name, signal in (("the reference", clean), ("the estimate", estimate)):
        fault = fault_of(name, signal)
        if fault:
            return fault
    if len(clean) != len(estimate):
        return f"lengths differ: {len(clean)} samples of reference, {len(estimate)} of estimate"
    return None


def fault_of(name: str, signal: Samples) -> str | None:
    """Return why no metric can use a signal, or None."""
    if signal.ndim != 1:
        return f"{name} has {signal.shape[0]} channels; mono is required"
    if not len(signal):
        return f"{name} is empty"
    if not np.isfinite(signal).all():
        return f"{name} contains NaN or infinity"
    return f"{name} is silent" if np.abs(signal).max() < SILENT else None
