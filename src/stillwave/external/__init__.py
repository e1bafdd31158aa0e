"""Denoisers outside this package as functions of samples: files, programs, Python functions and peers from wheels.

Sampling rate, delay and level of each are measured with a probe signal and compensated (`calibration.py`).
"""

from stillwave.external.calibration import Calibration, calibrate, compensated
from stillwave.external.contract import ExternalDenoiser, ExternalError
from stillwave.external.resolve import CODE, PEERS, from_command, is_external, resolve

__all__ = [
    "CODE",
    "PEERS",
    "Calibration",
    "ExternalDenoiser",
    "ExternalError",
    "calibrate",
    "compensated",
    "from_command",
    "is_external",
    "resolve",
]
