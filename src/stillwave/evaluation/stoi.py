"""STOI and extended STOI with the package `pystoi`: predicted intelligibility."""

from __future__ import annotations

import warnings

from stillwave.audio import Samples
from stillwave.errors import MetricError
from stillwave.evaluation.rng import fixed_seed
from stillwave.schema import SAMPLE_RATE


def stoi(clean: Samples, estimate: Samples, extended: bool = False) -> float:
    """Return STOI, or the extended STOI, of signals `[N]` at 16 kHz. Raises MetricError if they are too short."""
    from pystoi import stoi as program

    with fixed_seed(), warnings.catch_warnings():
        # pystoi warns and returns 1e-5 if fewer than 30 frames (0.4 s) are active: treat this as no value
        warnings.simplefilter("error", RuntimeWarning)
        try:
            return float(program(clean, estimate, SAMPLE_RATE, extended=extended))
        except RuntimeWarning as warning:
            if "Not enough STFT frames" in str(warning):
                raise MetricError("too short for STOI (30 active frames, 0.4 s)") from None
            raise MetricError(f"pystoi: {warning}") from None
        except ValueError as error:
            raise MetricError(f"too short for STOI ({error})") from None
