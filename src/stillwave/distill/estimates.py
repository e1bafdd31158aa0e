"""Estimates as waveforms and compressed spectra, for methods that compare outputs."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor

from stillwave.distill.method import BatchInputs, DistillError, ModelOutputs, to_float32

FLOOR = 1e-8
"""Added to powers before a root or a logarithm."""


class Estimates(NamedTuple):
    """Waveforms [B, N], at least float32; those of teacher and clean reference are constants."""

    student: Tensor
    teacher: Tensor
    clean: Tensor | None


def estimates(student: ModelOutputs, teacher: ModelOutputs, inputs: BatchInputs) -> Estimates:
    """Return the waveforms of a batch; for several microphones, of the first."""
    clean = None if inputs.clean is None else waveform(inputs.clean)
    return Estimates(waveform(student.estimate), waveform(teacher.estimate.detach()), clean)


def required(clean: Tensor | None, method: str) -> Tensor:
    """Return the clean reference. Raise DistillError if it is missing."""
    if clean is None:
        raise DistillError(f"{method} requires the clean reference; pass clean=…")
    return clean


def power(spectrum: Tensor) -> Tensor:
    """Return |X|², with a gradient that is finite at 0."""
    return torch.view_as_real(spectrum).square().sum(-1)


def compressed(spectrum: Tensor, c: float) -> Tensor:
    """Return X · (|X|² + 1e-8)^((c−1)/2): magnitude |X|^c, phase of X."""
    return spectrum * (power(spectrum) + FLOOR) ** ((c - 1) / 2)


def waveform(signal: Tensor) -> Tensor:
    """Return [B, N] of the first channel of [B, N] or [B, M, N], at least float32."""
    return to_float32(signal[:, 0] if signal.ndim == 3 else signal)
