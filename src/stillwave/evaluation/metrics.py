"""Scores of one estimate against its clean reference. Axes: samples `[N]` at 16 kHz, full scale ±1.

A metric that has no value says why: `Score(None, reason)`. It is never replaced by a number and never dropped.

| key | what it is | source |
|---|---|---|
| `pesq_wb`, `pesq_nb` | predicted listening quality, MOS-LQO | ITU-T P.862.2, P.862.1; package `pesq` |
| `stoi`, `estoi` | predicted intelligibility | Taal et al. 2011, Jensen & Taal 2016; package `pystoi` |
| `si_sdr` | target energy over all else, whatever the scale *and sign* | Le Roux et al. 2019, eq. 3, means removed |
| `snr` | clean energy over that of the difference: sees scale and sign | |
| `csig`, `cbak`, `covl` | predicted ratings of speech, background, overall | Hu & Loizou 2008 (`composite.py`) |
| `dnsmos_sig`, `dnsmos_bak`, `dnsmos_ovrl` | ratings; the reference is not used | P.835 DNSMOS; package `speechmos` |
| `wer` | word error rate by a recogniser, at most 1; lower is better | `wer.py`, `transcripts.py`; package `jiwer` |
| `t1` | (STOI + (1 − WER)) / 2, each clipped to 0 … 1 | L3DAS challenges (`challenge.py`) |

DNSMOS takes values within ±1 only: an estimate that goes beyond is scaled, as a whole, to a peak of 1 (the others
take it as it is). It depends on the level, and a recording under 9 s is repeated until it lasts that long.

A recording's `wer` is clipped to 1 before it is averaged, as the challenges do it. The corpus WER of a summary,
errors summed over recordings, is not clipped.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import NamedTuple

import numpy as np

from stillwave.audio import Samples
from stillwave.errors import MetricError, MissingExtraError, nearest
from stillwave.evaluation.alignment import Alignment, alignment
from stillwave.evaluation.challenge import t1
from stillwave.evaluation.pesq import pesq
from stillwave.evaluation.rng import fixed_seed
from stillwave.evaluation.sdr import si_sdr, snr
from stillwave.evaluation.transcripts import SILENT, TranscriptPair
from stillwave.schema import SAMPLE_RATE


class Score(NamedTuple):
    """A value, or the reason why there is none; exactly one of the two is None."""

    value: float | None
    reason: str | None = None


class SignalPair:
    """A clean reference and an estimate, checked; what several metrics need is computed once.

    `heard`: their transcripts, where a recogniser heard them.
    """

    def __init__(self, clean: Samples, estimate: Samples, heard: TranscriptPair | None = None) -> None:
        self.clean, self.estimate, self.heard = clean, estimate, heard

    @cached_property
    def pesq_wb(self) -> float:
        """PESQ, wide-band."""
        return pesq(self.clean, self.estimate, "wb")

    @cached_property
    def stoi(self) -> float:
        """STOI, not extended."""
        return _stoi(self, False)

    @property
    def wer(self) -> float:
        """Word error rate, clipped to 1."""
        if self.heard is None:
            raise MetricError("no recogniser heard it")
        if self.heard.count is None:
            raise MetricError(self.heard.reason)
        return min(self.heard.count.rate, 1.0)

    @cached_property
    def composite(self) -> dict[str, float]:
        """CSIG, CBAK and COVL."""
        from stillwave.evaluation.composite import composite

        return composite(self.clean, self.estimate, self.pesq_wb)

    @cached_property
    def dnsmos(self) -> dict[str, float]:
        """DNSMOS P.835 of the estimate."""
        from stillwave.evaluation.dnsmos import dnsmos

        return dnsmos(self.estimate)


@dataclass(frozen=True)
class Metric:
    """A measure: its key, its name in tables, the factor and decimals there."""

    key: str
    name: str
    compute: Callable[[SignalPair], float]
    extras: tuple[tuple[str, str], ...] = ()
    """The modules that it needs, each with the extra that brings it."""
    unit: str = ""
    factor: float = 1.0
    decimals: int = 3
    lower_is_better: bool = False
    words: bool = False
    """Whether it needs a recogniser."""
    signals: bool = True
    """Whether it compares samples; words are compared of recordings whose samples cannot be."""

    def gain(self, difference: float) -> float:
        """A difference, turned so that more than zero is better."""
        return -difference if self.lower_is_better else difference


_PESQ, _STOI, _DNSMOS = (("pesq", "eval"),), (("pystoi", "eval"),), (("speechmos", "eval"),)
_WORDS = (("jiwer", "asr"),)

METRICS: dict[str, Metric] = {
    metric.key: metric
    for metric in (
        Metric("pesq_wb", "PESQ-WB", lambda c: c.pesq_wb, _PESQ),
        Metric("pesq_nb", "PESQ-NB", lambda c: pesq(c.clean, c.estimate, "nb"), _PESQ),
        Metric("stoi", "STOI", lambda c: c.stoi, _STOI, "×100", 100, 2),
        Metric("estoi", "ESTOI", lambda c: _stoi(c, True), _STOI, "×100", 100, 2),
        Metric("si_sdr", "SI-SDR", lambda c: si_sdr(c.clean, c.estimate), unit="dB", decimals=2),
        Metric("snr", "SNR", lambda c: snr(c.clean, c.estimate), unit="dB", decimals=2),
        Metric("csig", "CSIG", lambda c: c.composite["csig"], _PESQ),
        Metric("cbak", "CBAK", lambda c: c.composite["cbak"], _PESQ),
        Metric("covl", "COVL", lambda c: c.composite["covl"], _PESQ),
        Metric("dnsmos_sig", "DNSMOS SIG", lambda c: c.dnsmos["sig_mos"], _DNSMOS),
        Metric("dnsmos_bak", "DNSMOS BAK", lambda c: c.dnsmos["bak_mos"], _DNSMOS),
        Metric("dnsmos_ovrl", "DNSMOS OVRL", lambda c: c.dnsmos["ovrl_mos"], _DNSMOS),
        Metric("wer", "WER", lambda c: c.wer, _WORDS, "%", 100, 2, True, words=True, signals=False),
        Metric("t1", "T1", lambda c: t1(c.stoi, c.wer), (*_WORDS, *_STOI), words=True),
    )
}
DEFAULT = ("pesq_wb", "pesq_nb", "stoi", "estoi", "si_sdr", "csig", "cbak", "covl")
WORDS = ("wer", "t1")
"""What is added where there is a recogniser."""
_NOTHING: Samples = np.zeros(0, np.float32)


def choose(keys: Sequence[str], recogniser: bool = False) -> tuple[str, ...]:
    """Check metric names. Raises MetricError (with the nearest names) and MissingExtraError.

    With a recogniser the word error rate is among them whether it is named or not.
    """
    import importlib.util

    if recogniser and not any(key == "wer" for key in keys):
        keys = [*keys, "wer"]
    for key in keys:
        if key not in METRICS:
            raise MetricError(f"there is no metric '{key}'; {nearest(key, METRICS)}")
        if METRICS[key].words and not recogniser:
            raise MetricError(
                f"the metric '{key}' needs a recogniser: `stillwave evaluate … --recogniser pocketsphinx`, or another"
            )
        for module, extra in METRICS[key].extras:
            if importlib.util.find_spec(module) is None:
                raise MissingExtraError(f"the metric '{key}'", extra)
    return tuple(dict.fromkeys(keys))


def score(
    clean: Samples, estimate: Samples, keys: Sequence[str], heard: TranscriptPair | None = None
) -> dict[str, Score]:
    """Every metric named, each a value or a reason. Signals are `[N]` at 16 kHz; `heard` are their transcripts."""
    fault = find_fault(clean, estimate)
    if fault:
        return unscored(fault, keys, heard)
    comparison = SignalPair(clean, estimate, heard)
    return {key: _score(METRICS[key], comparison) for key in keys}


def unscored(reason: str, keys: Sequence[str], heard: TranscriptPair | None = None) -> dict[str, Score]:
    """A reason for every metric named, but for those that compare what was heard, if it was."""
    comparison = SignalPair(_NOTHING, _NOTHING, heard)
    return {
        key: Score(None, reason)
        if heard is None or METRICS[key].signals
        else _score(METRICS[key], comparison)
        for key in keys
    }


def _score(metric: Metric, comparison: SignalPair) -> Score:
    try:
        value = float(metric.compute(comparison))
    except MetricError as error:
        return Score(None, str(error))
    except Exception as error:  # a metric's package fails in ways of its own; each becomes a counted reason
        return Score(None, f"{type(error).__name__}: {' '.join(str(error).split()) or 'no message'}")
    return Score(value) if np.isfinite(value) else Score(None, f"is {value}")


def aligned(clean: Samples, estimate: Samples) -> Alignment:
    """Lag and polarity of an estimate: PESQ, STOI and SI-SDR do not tell them. Nothing for signals with a fault."""
    return Alignment() if find_fault(clean, estimate) else alignment(clean, estimate, SAMPLE_RATE)


def find_fault(clean: Samples, estimate: Samples) -> str | None:
    """Why two signals cannot be compared by any metric, or None."""
    for name, signal in (("the reference", clean), ("the estimate", estimate)):
        if signal.ndim != 1:
            return f"{name} has {signal.shape[0]} channels, one is scored"
        if not len(signal):
            return f"{name} is empty"
        if not np.isfinite(signal).all():
            return f"{name} holds NaN or infinity"
        if np.abs(signal).max() < SILENT:
            return f"{name} is silent"
    if len(clean) != len(estimate):
        return f"lengths differ: {len(clean)} samples of reference, {len(estimate)} of estimate"
    return None


def _stoi(comparison: SignalPair, extended: bool) -> float:
    from pystoi import stoi

    with fixed_seed(), warnings.catch_warnings():
        # pystoi warns and returns 1e-5 where fewer than 30 frames (0.4 s) are active: that is no score
        warnings.simplefilter("error", RuntimeWarning)
        try:
            return float(stoi(comparison.clean, comparison.estimate, SAMPLE_RATE, extended=extended))
        except RuntimeWarning as warning:
            if "Not enough STFT frames" in str(warning):
                raise MetricError("too short for STOI (30 active frames, 0.4 s)") from None
            raise MetricError(f"pystoi: {warning}") from None
        except ValueError as error:
            raise MetricError(f"too short for STOI ({error})") from None
