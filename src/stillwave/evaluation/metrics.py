"""Metrics of an estimate against its clean reference. Signals: `[N]` at 16 kHz, full scale ±1.

`si_sdr_full`, `lsd_high` and `noise_high` use the signals at the sampling rate of their files (`FullBand`).

A metric without a value has a reason: `Score(None, reason)`. Missing values are never replaced by a number.

| key | measures | source |
|---|---|---|
| `pesq_wb`, `pesq_nb` | predicted listening quality, MOS-LQO | ITU-T P.862.2, P.862.1; package `pesq` |
| `stoi`, `estoi` | predicted intelligibility | Taal et al. 2011, Jensen & Taal 2016; package `pystoi` |
| `si_sdr` | target to residual energy, invariant to scale *and sign* | Le Roux et al. 2019, eq. 3, means removed |
| `si_sdr_full` | SI-SDR at the sampling rate of the files | as `si_sdr` |
| `lsd_high` | log-spectral distance above 8 kHz; lower is better | Gray & Markel 1976 (`full_band.py`) |
| `noise_high` | noise left above 8 kHz in pauses, relative to the noisy input; lower is better | `full_band.py` |
| `snr` | clean to error energy; depends on scale and sign | |
| `csig`, `cbak`, `covl` | predicted ratings of speech, background, overall | Hu & Loizou 2008 (`composite.py`) |
| `dnsmos_sig`, `dnsmos_bak`, `dnsmos_ovrl` | predicted ratings, no reference | P.835 DNSMOS; package `speechmos` |
| `wer` | word error rate with a recogniser, at most 1; lower is better | `wer.py`; package `jiwer` |
| `t1` | (STOI + (1 − WER)) / 2, each clipped to 0 … 1 | L3DAS challenges (`challenge.py`) |

DNSMOS requires values within ±1: an estimate that exceeds them is scaled to a peak of 1 (for this metric only). DNSMOS
depends on the level, and recordings under 9 s are repeated to that length.

The `wer` of a recording is clipped to 1 before averaging, as in the challenges. The corpus WER of a summary (errors
summed over recordings) is not clipped.
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
from stillwave.evaluation.full_band import FullBand, lsd_high, noise_high
from stillwave.evaluation.pesq import pesq
from stillwave.evaluation.rng import fixed_seed
from stillwave.evaluation.sdr import si_sdr, snr
from stillwave.evaluation.transcripts import SILENT, TranscriptPair
from stillwave.schema import SAMPLE_RATE


class Score(NamedTuple):
    """A value, or the reason for its absence; exactly one of the two is None."""

    value: float | None
    reason: str | None = None


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
        return _stoi(self, False)

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

    @cached_property
    def dnsmos(self) -> dict[str, float]:
        """DNSMOS P.835 of the estimate."""
        from stillwave.evaluation.dnsmos import dnsmos

        return dnsmos(self.estimate)


@dataclass(frozen=True)
class Metric:
    """A metric: its function, and its name, factor and decimals in tables."""

    key: str
    name: str
    compute: Callable[[SignalPair], float]
    extras: tuple[tuple[str, str], ...] = ()
    """The required modules, each with the extra that installs it."""
    unit: str = ""
    factor: float = 1.0
    decimals: int = 3
    lower_is_better: bool = False
    words: bool = False
    """Whether it requires a recogniser."""
    signals: bool = True
    """Whether it compares samples. The word error rate does not, so it exists for signals of different lengths."""
    noisy: bool = False
    """Whether it requires the noisy input."""

    def gain(self, difference: float) -> float:
        """Return a difference with its sign such that positive is better."""
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
        Metric(
            "si_sdr_full",
            "SI-SDR full band",
            lambda c: si_sdr(c.full_band.clean, c.full_band.estimate),
            unit="dB",
            decimals=2,
        ),
        Metric(
            "lsd_high",
            "LSD > 8 kHz",
            lambda c: lsd_high(c.full_band),
            unit="dB",
            decimals=2,
            lower_is_better=True,
        ),
        Metric(
            "noise_high",
            "noise > 8 kHz",
            lambda c: noise_high(c.full_band),
            unit="dB",
            decimals=2,
            lower_is_better=True,
            noisy=True,
        ),
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
"""The metrics that are added if there is a recogniser."""
_EMPTY: Samples = np.zeros(0, np.float32)


def choose(keys: Sequence[str], recogniser: bool = False) -> tuple[str, ...]:
    """Return metric keys, checked and without repeats; with a recogniser `wer` is always included.

    Raises:
        MetricError: An unknown key, or a metric that needs a recogniser without one.
        MissingExtraError: The package of a metric is not installed.

    """
    import importlib.util

    if recogniser and not any(key == "wer" for key in keys):
        keys = [*keys, "wer"]
    for key in keys:
        if key not in METRICS:
            raise MetricError(f"there is no metric '{key}'; {nearest(key, METRICS)}")
        if METRICS[key].words and not recogniser:
            raise MetricError(
                f"the metric '{key}' needs a recogniser, e.g. `stillwave evaluate … --recogniser pocketsphinx`"
            )
        for module, extra in METRICS[key].extras:
            if importlib.util.find_spec(module) is None:
                raise MissingExtraError(f"the metric '{key}'", extra)
    return tuple(dict.fromkeys(keys))


def score(
    clean: Samples,
    estimate: Samples,
    keys: Sequence[str],
    transcripts: TranscriptPair | None = None,
    full_band: FullBand | None = None,
) -> dict[str, Score]:
    """Score an estimate against its clean reference.

    Args:
        clean: The clean reference, `[N]` at 16 kHz.
        estimate: The estimate, `[N]` at 16 kHz, aligned with the reference.
        keys: Keys of `METRICS`.
        transcripts: The transcripts of both, for `wer` and `t1`.
        full_band: The signals at the sampling rate of their files; by default those at 16 kHz.

    Returns:
        By metric, a value or the reason for its absence.

    """
    fault = find_fault(clean, estimate)
    if fault:
        return unscored(fault, keys, transcripts)
    pair = SignalPair(clean, estimate, transcripts, full_band)
    return {key: _score(METRICS[key], pair) for key in keys}


def unscored(reason: str, keys: Sequence[str], transcripts: TranscriptPair | None = None) -> dict[str, Score]:
    """Return a reason for every metric; metrics of transcripts only are computed if there are transcripts."""
    pair = SignalPair(_EMPTY, _EMPTY, transcripts)
    return {
        key: Score(None, reason)
        if transcripts is None or METRICS[key].signals
        else _score(METRICS[key], pair)
        for key in keys
    }


def _score(metric: Metric, pair: SignalPair) -> Score:
    try:
        value = float(metric.compute(pair))
    except MetricError as error:
        return Score(None, str(error))
    except Exception as error:  # packages raise any exception; each becomes a counted reason
        return Score(None, f"{type(error).__name__}: {' '.join(str(error).split()) or 'no message'}")
    return Score(value) if np.isfinite(value) else Score(None, f"is {value}")


def aligned(clean: Samples, estimate: Samples) -> Alignment:
    """Return the lag and polarity of an estimate, which most metrics do not show; 0 for invalid signals."""
    return Alignment() if find_fault(clean, estimate) else alignment(clean, estimate, SAMPLE_RATE)


def find_fault(clean: Samples, estimate: Samples) -> str | None:
    """Return why no metric can compare two signals, or None."""
    for name, signal in (("the reference", clean), ("the estimate", estimate)):
        if signal.ndim != 1:
            return f"{name} has {signal.shape[0]} channels; mono is required"
        if not len(signal):
            return f"{name} is empty"
        if not np.isfinite(signal).all():
            return f"{name} contains NaN or infinity"
        if np.abs(signal).max() < SILENT:
            return f"{name} is silent"
    if len(clean) != len(estimate):
        return f"lengths differ: {len(clean)} samples of reference, {len(estimate)} of estimate"
    return None


def _stoi(pair: SignalPair, extended: bool) -> float:
    from pystoi import stoi

    with fixed_seed(), warnings.catch_warnings():
        # pystoi warns and returns 1e-5 if fewer than 30 frames (0.4 s) are active: treat this as no value
        warnings.simplefilter("error", RuntimeWarning)
        try:
            return float(stoi(pair.clean, pair.estimate, SAMPLE_RATE, extended=extended))
        except RuntimeWarning as warning:
            if "Not enough STFT frames" in str(warning):
                raise MetricError("too short for STOI (30 active frames, 0.4 s)") from None
            raise MetricError(f"pystoi: {warning}") from None
        except ValueError as error:
            raise MetricError(f"too short for STOI ({error})") from None
