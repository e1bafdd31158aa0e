"""DNSMOS: predicted ratings of speech, background and overall quality (P.835 and P.808), without a reference.

C. K. A. Reddy, V. Gopal, R. Cutler, "DNSMOS P.835", ICASSP 2022; "DNSMOS", ICASSP 2021. The networks are part of the
package `speechmos`, whose own code imports librosa and uses every core in each process. The values are the same.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import cache
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np

from stillwave.audio import Samples
from stillwave.errors import MissingExtraError
from stillwave.evaluation.mel import mel_spectrogram
from stillwave.schema import SAMPLE_RATE

_WINDOW = int(9.01 * SAMPLE_RATE)
# Published polynomials a x² + b x + c from the outputs of the network to ratings.
_CURVES = {
    "sig_mos": (-0.08397278, 1.22083953, 0.0052439),
    "bak_mos": (-0.13166888, 1.60915514, -0.39604546),
    "ovrl_mos": (-0.06766283, 1.11546468, 0.04602535),
}


def dnsmos(estimate: Samples) -> dict[str, float]:
    """Return `sig_mos`, `bak_mos` and `ovrl_mos` of `[N]` at 16 kHz: means over windows of 9.01 s, one every second.

    Shorter signals are repeated. A signal that exceeds ±1 is scaled to a peak of 1. Raises MissingExtraError without
    `speechmos`.
    """
    network = _network("sig_bak_ovr.onnx")
    raw = np.array([network.run(None, {"input_1": window[None]})[0][0] for window in _windows(estimate)])
    return {key: float(np.polyval(c, raw[:, i]).mean()) for i, (key, c) in enumerate(_CURVES.items())}


def dnsmos_p808(estimate: Samples) -> float:
    """Return the rating of P.808 of `[N]` at 16 kHz, over the same windows. Raises MissingExtraError likewise."""
    network = _network("model_v8.onnx")
    return float(
        np.mean([network.run(None, {"input_1": _features(w)[None]})[0][0] for w in _windows(estimate)])
    )


def _features(window: Samples) -> Samples:
    """Return log mel powers `[frames, 120]`, 0 dB at the largest and limited to 80 dB below, over 40 and plus 1."""
    powers = mel_spectrogram(window[:-160], 321, 160, 120)
    decibels = 10 * np.log10(np.maximum(powers, 1e-10) / max(float(powers.max()), 1e-10))
    return np.asarray((np.maximum(decibels, -80) + 40).T / 40, np.float32)


def _windows(estimate: Samples) -> Iterator[Samples]:
    samples = (estimate / max(1.0, float(np.abs(estimate).max()))).astype(np.float32)
    while len(samples) < _WINDOW:
        samples = np.concatenate((samples, samples))
    return (samples[start : start + _WINDOW] for start in window_starts(len(samples)))


def window_starts(length: int) -> list[int]:
    """Return the first sample of each window, as in the published program: it counts whole seconds, and skips a
    window whose end, (i + 9.01) · 16 000 in floating point, is rounded down by a sample.
    """
    count = int(length // SAMPLE_RATE - 9.01) + 1
    ends = [int((i + 9.01) * SAMPLE_RATE) for i in range(count)]
    return [i * SAMPLE_RATE for i, end in enumerate(ends) if end - i * SAMPLE_RATE >= _WINDOW]


@cache
def _network(file: str) -> Any:
    import onnxruntime

    package = find_spec("speechmos")
    if package is None or package.origin is None:
        raise MissingExtraError("DNSMOS", "eval")
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1  # files are scored in parallel
    model = Path(package.origin).parent / "dnsmos_models" / file
    return onnxruntime.InferenceSession(str(model), options, providers=["CPUExecutionProvider"])
