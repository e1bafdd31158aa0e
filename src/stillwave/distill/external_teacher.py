"""Teachers that have estimates only: external denoisers, and folders of their outputs."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from stillwave.console import note
from stillwave.distill.method import METHODS, DistillError, Method
from stillwave.external import Calibration, ExternalDenoiser, ExternalError, calibrate, compensated
from stillwave.external.function import FunctionDenoiser
from stillwave.schema import SAMPLE_RATE


class EstimateTeacher(nn.Module):
    """A teacher without layers that could be compared.

    Attributes:
        name: Name in messages.
        identity: SHA-256 of what it is, in hexadecimal.

    """

    name: str
    identity: str

    def summary(self) -> str:
        """Return name and calibration as one line."""
        return self.name


class ExternalTeacher(EstimateTeacher):
    """An external denoiser as a network: waveforms `[B, N]` to aligned estimates `[B, N]`, on the CPU.

    At construction it runs on a probe, and its delay and level are measured; later calls compensate them. Of several
    microphones, `[B, M, N]`, it takes the first. Zeros are returned for zeros. If it fails on a batch, the reason is
    printed and the estimates are NaN, so that a training skips and counts the batch.

    Args:
        denoiser: The denoiser, or a function that maps NumPy float32 `[B, n]` and a rate to `[B, n]`.
        rate: Sampling rate that a function expects, in Hz.
        student_rate: Sampling rate of the student in Hz.

    Attributes:
        calibration: Measured delay and level.
        failures: Number of batches on which it failed.

    Raises:
        ExternalError: It fails on the probe, or does not return an estimate of it.

    """

    def __init__(
        self,
        denoiser: ExternalDenoiser | Callable[[Any, int], Any],
        rate: int = SAMPLE_RATE,
        student_rate: int = SAMPLE_RATE,
    ) -> None:
        super().__init__()
        if not isinstance(denoiser, ExternalDenoiser):
            denoiser = FunctionDenoiser(denoiser, rate)
        self.denoiser, self.name, self.student_rate = denoiser, denoiser.name, student_rate
        self.calibration: Calibration = calibrate(denoiser)
        facts = f"{denoiser.identity} {self.calibration.delay} {self.calibration.gain}"
        self.identity = hashlib.sha256(facts.encode()).hexdigest()
        self.failures = 0

    def forward(self, noisy: Tensor) -> Tensor:
        """Return the estimates, float32 on the device of the input."""
        first = (noisy[:, 0] if noisy.ndim == 3 else noisy).detach()
        samples = first.float().cpu().numpy()
        estimate = np.zeros_like(samples)
        sounding = samples.any(axis=1)
        if sounding.any():
            estimate[sounding] = self._estimates(samples[sounding])
        return torch.from_numpy(estimate).to(noisy.device)

    def summary(self) -> str:
        """Return name and calibration as one line."""
        return f"{self.name}: {self.calibration.summary()}"

    def _estimates(self, samples: Any) -> Any:
        try:
            return compensated(self.denoiser, self.calibration, samples, self.student_rate)
        except ExternalError as error:
            self.failures += 1
            note(f"teacher failure {self.failures}: {error}")
            return np.float32(np.nan)


class StoredTeacher(EstimateTeacher):
    """A teacher whose estimates were stored: each batch has its own (`Distiller.forward(teacher_estimate=…)`).

    Args:
        name: Name in messages.
        identity: SHA-256 of the stored estimates.
        line: What `summary` returns.

    """

    def __init__(self, name: str, identity: str, line: str) -> None:
        super().__init__()
        self.name, self.identity, self._line = name, identity, line

    def forward(self, noisy: Tensor) -> Tensor:
        """Return zeros for zeros, as in a dry run. Raise DistillError for any other signal."""
        if noisy.any():
            raise DistillError(
                f"{self.name}: has estimates of its own mixtures only, and cannot process another signal"
            )
        return noisy[:, 0] if noisy.ndim == 3 else noisy

    def summary(self) -> str:
        """Return name and calibration as one line."""
        return self._line


def check_estimates(teacher: nn.Module, method: type[Method]) -> None:
    """Raise DistillError if a method compares layers and the teacher has estimates only."""
    if isinstance(teacher, EstimateTeacher) and method.uses_features:
        name = next((name for name, cls in METHODS.items() if cls is method), method.__name__)
        others = [name for name, cls in METHODS.items() if cls.uses_estimate and not cls.uses_features]
        raise DistillError(
            f"method '{name}' compares layers, and the teacher {teacher.name} has estimates only; use "
            f"{', '.join(others[:-1])} or {others[-1]}"
        )
