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

DNSMOS takes values within ±1 only: an estimate that goes beyond is scaled, as a whole, to a peak of 1 (the others
take it as it is). It depends on the level, and a recording under 9 s is repeated until it lasts that long.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from stillwave.audio import Samples
from stillwave.errors import MissingExtraError, StillwaveError, nearest
from stillwave.evaluate.utterances import ROOM, too_many
from stillwave.schema import SAMPLE_RATE

INVERTED = -0.1
"""A correlation with the reference below this is one of opposite polarity, and no chance (SI-SDR −20 dB)."""
SILENT = 1e-4
"""A signal whose peak stays below this (−80 dBFS) is silent, as in `data.scan`."""
_ROUNDING = 1e-25  # −250 dB, what float64 leaves of a difference


class MetricError(StillwaveError):
    """A metric that does not exist, or has no value for these signals (the message is the reason)."""


class Score(NamedTuple):
    """A value, or the reason why there is none; exactly one of the two is None."""

    value: float | None
    reason: str | None = None


class Comparison:
    """A clean reference and an estimate, checked; what several metrics need is computed once."""

    def __init__(self, clean: Samples, estimate: Samples) -> None:
        self.clean, self.estimate = clean, estimate

    @cached_property
    def pesq_wb(self) -> float:
        """PESQ, wide-band."""
        return _pesq(self.clean, self.estimate, "wb")

    @cached_property
    def composite(self) -> dict[str, float]:
        """CSIG, CBAK and COVL."""
        from stillwave.evaluate.composite import composite

        return composite(self.clean, self.estimate, self.pesq_wb)

    @cached_property
    def dnsmos(self) -> dict[str, float]:
        """DNSMOS P.835 of the estimate."""
        from stillwave.evaluate.dnsmos import dnsmos

        return dnsmos(self.estimate)


@dataclass(frozen=True)
class Metric:
    """A measure: its key, its name in tables, the factor and decimals there. Higher is better for all of them."""

    key: str
    name: str
    compute: Callable[[Comparison], float]
    extra: tuple[str, str] = ("", "")
    """The module that it needs and the extra that brings it."""
    unit: str = ""
    factor: float = 1.0
    decimals: int = 3


_PESQ, _STOI, _DNSMOS = ("pesq", "eval"), ("pystoi", "eval"), ("speechmos", "eval")

METRICS: dict[str, Metric] = {
    metric.key: metric
    for metric in (
        Metric("pesq_wb", "PESQ-WB", lambda c: c.pesq_wb, _PESQ),
        Metric("pesq_nb", "PESQ-NB", lambda c: _pesq(c.clean, c.estimate, "nb"), _PESQ),
        Metric("stoi", "STOI", lambda c: _stoi(c, False), _STOI, "×100", 100, 2),
        Metric("estoi", "ESTOI", lambda c: _stoi(c, True), _STOI, "×100", 100, 2),
        Metric("si_sdr", "SI-SDR", lambda c: si_sdr(c.clean, c.estimate), unit="dB", decimals=2),
        Metric("snr", "SNR", lambda c: snr(c.clean, c.estimate), unit="dB", decimals=2),
        Metric("csig", "CSIG", lambda c: c.composite["csig"], _PESQ),
        Metric("cbak", "CBAK", lambda c: c.composite["cbak"], _PESQ),
        Metric("covl", "COVL", lambda c: c.composite["covl"], _PESQ),
        Metric("dnsmos_sig", "DNSMOS SIG", lambda c: c.dnsmos["sig_mos"], _DNSMOS),
        Metric("dnsmos_bak", "DNSMOS BAK", lambda c: c.dnsmos["bak_mos"], _DNSMOS),
        Metric("dnsmos_ovrl", "DNSMOS OVRL", lambda c: c.dnsmos["ovrl_mos"], _DNSMOS),
    )
}
DEFAULT = ("pesq_wb", "pesq_nb", "stoi", "estoi", "si_sdr", "csig", "cbak", "covl")


def choose(keys: Sequence[str]) -> tuple[str, ...]:
    """Check metric names. Raises MetricError (with the nearest names) and MissingExtraError."""
    import importlib.util

    for key in keys:
        if key not in METRICS:
            raise MetricError(f"there is no metric '{key}'; {nearest(key, METRICS)}")
        module, extra = METRICS[key].extra
        if module and importlib.util.find_spec(module) is None:
            raise MissingExtraError(f"the metric '{key}'", extra)
    return tuple(dict.fromkeys(keys))


def score(clean: Samples, estimate: Samples, keys: Sequence[str]) -> dict[str, Score]:
    """Every metric named, each a value or a reason. Signals are `[N]` at 16 kHz."""
    fault = find_fault(clean, estimate)
    if fault:
        return {key: Score(None, fault) for key in keys}
    comparison = Comparison(clean, estimate)
    return {key: _score(METRICS[key], comparison) for key in keys}


def _score(metric: Metric, comparison: Comparison) -> Score:
    try:
        value = float(metric.compute(comparison))
    except MetricError as error:
        return Score(None, str(error))
    except Exception as error:  # a metric's package fails in ways of its own; each becomes a counted reason
        return Score(None, f"{type(error).__name__}: {' '.join(str(error).split()) or 'no message'}")
    return Score(value) if np.isfinite(value) else Score(None, f"is {value}")


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


def si_sdr(clean: Samples, estimate: Samples) -> float:
    """Scale-invariant signal-to-distortion ratio in dB, means removed. Blind to polarity: see `inverted`.

    Examples:
        >>> t = np.linspace(0, 1, 16_000, endpoint=False)
        >>> tone, other = np.sin(2 * np.pi * 100 * t), np.sin(2 * np.pi * 200 * t)
        >>> round(si_sdr(tone, tone + 0.1 * other), 6), round(si_sdr(tone, -3 * (tone + 0.1 * other)), 6)
        (20.0, 20.0)
        >>> si_sdr(tone, 2 * tone)
        Traceback (most recent call last):
            ...
        stillwave.evaluate.metrics.MetricError: the estimate equals the reference: SI-SDR is infinite

    """
    s, e = _centred(clean), _centred(estimate)
    if not s.any():
        raise MetricError("the reference is constant")
    target = _dot(e, s) / _dot(s, s) * s
    wanted, error = _dot(target, target), _dot(e - target, e - target)
    if wanted <= _ROUNDING * error:  # a constant estimate too: both are zero
        raise MetricError("the estimate holds nothing of the reference: SI-SDR is minus infinity")
    if error <= _ROUNDING * wanted:
        raise MetricError("the estimate equals the reference: SI-SDR is infinite")
    return float(10 * np.log10(wanted / error))


def snr(clean: Samples, estimate: Samples) -> float:
    """Signal-to-noise ratio in dB, the noise being all of estimate − clean."""
    s, e = clean.astype(np.float64), estimate.astype(np.float64) - clean
    if not e.any():
        raise MetricError("the estimate equals the reference: SNR is infinite")
    return float(10 * np.log10(_dot(s, s) / _dot(e, e)))


def inverted(clean: Samples, estimate: Samples) -> bool:
    """Whether the estimate has the opposite polarity: PESQ, STOI and SI-SDR do not see that."""
    if find_fault(clean, estimate):
        return False
    s, e = _centred(clean), _centred(estimate)
    return bool(_dot(s, e) < INVERTED * np.sqrt(_dot(s, s) * _dot(e, e)))


def _dot(a: NDArray[np.float64], b: NDArray[np.float64]) -> float:
    """Not BLAS, whose last digits depend on its number of threads."""
    return float((a * b).sum())


def _centred(signal: Samples) -> NDArray[np.float64]:
    centred: NDArray[np.float64] = signal.astype(np.float64) - signal.mean(dtype=np.float64)
    return centred


def _pesq(clean: Samples, estimate: Samples, mode: str) -> float:
    from pesq import BufferTooShortError, NoUtterancesError, pesq

    if too_many(clean):
        raise MetricError(f"too long for PESQ (it has room for {ROOM} utterances); score it in parts")
    try:
        return float(pesq(SAMPLE_RATE, clean, estimate, mode))
    except NoUtterancesError:
        raise MetricError("PESQ found no utterance") from None
    except BufferTooShortError:
        raise MetricError("too short for PESQ (a quarter of a second at least)") from None


def _stoi(comparison: Comparison, extended: bool) -> float:
    from pystoi import stoi

    with _same_draws(), warnings.catch_warnings():
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


@contextmanager
def _same_draws() -> Iterator[None]:
    """Seed NumPy's global generator, and put it back: pystoi's extended STOI adds a trace of noise from there."""
    before = np.random.get_state()
    np.random.seed(0)
    try:
        yield
    finally:
        np.random.set_state(before)
