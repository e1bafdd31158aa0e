"""The metrics of an estimate, by key. Signals: `[N]` at 16 kHz, full scale ±1.

`si_sdr_full`, `lsd`, `lsd_high` and `noise_high` use the signals at the sampling rate of their files (`FullBand`).

| key | measures | source |
|---|---|---|
| `pesq_wb`, `pesq_nb` | predicted listening quality, MOS-LQO | ITU-T P.862.2, P.862.1; package `pesq` |
| `stoi`, `estoi` | predicted intelligibility | Taal et al. 2011, Jensen & Taal 2016; package `pystoi` |
| `si_sdr` | target to residual energy, invariant to scale *and sign* | Le Roux et al. 2019, eq. 3, means removed |
| `si_sdr_full` | SI-SDR at the sampling rate of the files | as `si_sdr` |
| `snr`, `fwsegsnr` | clean to error energy, of the whole or of critical bands | `weighted_snr.py` |
| `csig`, `cbak`, `covl` | predicted ratings of speech, background, overall | Hu & Loizou 2008 (`composite.py`) |
| `lsd`, `lsd_high` | log-spectral distance, of the whole band or above 8 kHz; lower is better | `log_spectral.py` |
| `mcd` | mel-cepstral distance; lower is better | Kubichek 1993 (`cepstral.py`) |
| `noise_high` | noise left above 8 kHz in pauses, relative to the noisy input; lower is better | `full_band.py` |
| `speaker` | similarity of speaker embeddings | weights of the wheel `resemblyzer` (`speaker.py`) |
| `dnsmos_sig`, `dnsmos_bak`, `dnsmos_ovrl` | predicted ratings of P.835, no reference | package `speechmos` |
| `dnsmos_p808` | predicted rating of P.808, no reference | package `speechmos` |
| `distillmos` | predicted rating, no reference | package `distillmos` |
| `srmr` | modulation energy of speech to that of reverberation, no reference | Falk et al. 2010 (`srmr.py`) |
| `wer` | word error rate with a recogniser, at most 1; lower is better | `wer.py`; package `jiwer` |
| `phonemes` | similarity of the phonemes of the transcripts | Pirklbauer et al. 2023 (`phonemes.py`) |
| `t1` | (STOI + (1 − WER)) / 2, each clipped to 0 … 1 | L3DAS challenges (`challenge.py`) |

DNSMOS requires values within ±1: an estimate that exceeds them is scaled to a peak of 1 (for this metric only). DNSMOS
depends on the level, and recordings under 9 s are repeated to that length.

The `wer` of a recording is clipped to 1 before averaging, as in the challenges. The corpus WER of a summary (errors
summed over recordings) is not clipped.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from stillwave.evaluation.cepstral import mcd
from stillwave.evaluation.challenge import t1
from stillwave.evaluation.distillmos import distillmos
from stillwave.evaluation.dnsmos import dnsmos_p808
from stillwave.evaluation.full_band import lsd_high, noise_high
from stillwave.evaluation.log_spectral import lsd
from stillwave.evaluation.pesq import pesq
from stillwave.evaluation.sdr import si_sdr, snr
from stillwave.evaluation.signal_pair import SignalPair
from stillwave.evaluation.speaker import speaker_similarity
from stillwave.evaluation.srmr import srmr
from stillwave.evaluation.stoi import stoi
from stillwave.evaluation.weighted_snr import weighted_snr


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
    reference: bool = True
    """Whether it requires the clean reference (or, with `words`, its text)."""
    wheels: tuple[tuple[str, str], ...] = ()
    """The required modules that no extra installs, each with the command that does."""

    def gain(self, difference: float) -> float:
        """Return a difference with its sign such that positive is better."""
        return -difference if self.lower_is_better else difference


_PESQ, _STOI, _DNSMOS = (("pesq", "eval"),), (("pystoi", "eval"),), (("speechmos", "eval"),)
_SCIPY, _TORCH = (("scipy", "eval"),), (("torch", "train"),)
_WORDS = (("jiwer", "asr"),)
_ESPEAK = (("espeakng_loader", "demo"),)
_RESEMBLYZER = (("resemblyzer", "pip install --no-deps resemblyzer"),)
_DISTILLMOS = (("distillmos", "pip install distillmos"), ("torchaudio", "pip install torchaudio"))

_BOTH = (
    Metric("pesq_wb", "PESQ-WB", lambda c: c.pesq_wb, _PESQ),
    Metric("pesq_nb", "PESQ-NB", lambda c: pesq(c.clean, c.estimate, "nb"), _PESQ),
    Metric("stoi", "STOI", lambda c: c.stoi, _STOI, "×100", 100, 2),
    Metric("estoi", "ESTOI", lambda c: stoi(c.clean, c.estimate, extended=True), _STOI, "×100", 100, 2),
    Metric("si_sdr", "SI-SDR", lambda c: si_sdr(c.clean, c.estimate), unit="dB", decimals=2),
    Metric(
        "si_sdr_full",
        "SI-SDR full band",
        lambda c: si_sdr(c.full_band.clean, c.full_band.estimate),
        unit="dB",
        decimals=2,
    ),
    Metric("snr", "SNR", lambda c: snr(c.clean, c.estimate), unit="dB", decimals=2),
    Metric("fwsegsnr", "fwSegSNR", lambda c: weighted_snr(c.clean, c.estimate), unit="dB", decimals=2),
    Metric("csig", "CSIG", lambda c: c.composite["csig"], _PESQ),
    Metric("cbak", "CBAK", lambda c: c.composite["cbak"], _PESQ),
    Metric("covl", "COVL", lambda c: c.composite["covl"], _PESQ),
    Metric(
        "lsd",
        "LSD",
        lambda c: lsd(c.full_band.clean, c.full_band.estimate, c.full_band.rate),
        unit="dB",
        decimals=2,
        lower_is_better=True,
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
    Metric("mcd", "MCD", lambda c: mcd(c.clean, c.estimate), decimals=2, lower_is_better=True),
    Metric(
        "speaker", "speaker", lambda c: speaker_similarity(c.clean, c.estimate), _TORCH, wheels=_RESEMBLYZER
    ),
)
_ALONE = (
    Metric("dnsmos_sig", "DNSMOS SIG", lambda c: c.dnsmos["sig_mos"], _DNSMOS, reference=False),
    Metric("dnsmos_bak", "DNSMOS BAK", lambda c: c.dnsmos["bak_mos"], _DNSMOS, reference=False),
    Metric("dnsmos_ovrl", "DNSMOS OVRL", lambda c: c.dnsmos["ovrl_mos"], _DNSMOS, reference=False),
    Metric("dnsmos_p808", "DNSMOS P.808", lambda c: dnsmos_p808(c.estimate), _DNSMOS, reference=False),
    Metric(
        "distillmos",
        "DistillMOS",
        lambda c: distillmos(c.estimate),
        _TORCH,
        reference=False,
        wheels=_DISTILLMOS,
    ),
    Metric("srmr", "SRMR", lambda c: srmr(c.estimate), _SCIPY, decimals=2, reference=False),
)
_OF_WORDS = (
    Metric("wer", "WER", lambda c: c.wer, _WORDS, "%", 100, 2, True, words=True, signals=False),
    Metric(
        "phonemes",
        "phonemes",
        lambda c: c.phonemes,
        (*_WORDS, *_ESPEAK),
        "%",
        100,
        2,
        words=True,
        signals=False,
    ),
    Metric("t1", "T1", lambda c: t1(c.stoi, c.wer), (*_WORDS, *_STOI), words=True),
)
METRICS: dict[str, Metric] = {metric.key: metric for metric in (*_BOTH, *_ALONE, *_OF_WORDS)}
DEFAULT = ("pesq_wb", "pesq_nb", "stoi", "estoi", "si_sdr", "csig", "cbak", "covl")
WORDS = ("wer", "t1")
"""The metrics that are added if there is a recogniser."""
NO_REFERENCE = ("dnsmos_sig", "dnsmos_bak", "dnsmos_ovrl", "dnsmos_p808", "srmr")
"""The metrics of recordings without a clean reference."""
_DOWNLOADS = "its package downloads its weights when it runs; score the estimates with it"
UNAVAILABLE = {
    "nisqa": f"{_DOWNLOADS} (https://github.com/gabrielmittag/NISQA)",
    "scoreq": f"{_DOWNLOADS} (https://github.com/alessandroragano/scoreq)",
    "utmos": f"{_DOWNLOADS} (https://github.com/Blinorot/utmos-pytorch)",
}
"""Metrics that are not offered, with the reason and what to do instead."""
