"""What methods that compare outputs look at: estimates as waveforms, and their compressed spectra."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor

from stillwave.distill.method import BatchInputs, DistillError, ModelOutputs, to_float32

FLOOR = 1e-8
"""Added to powers before a root or a logarithm."""


class Estimates(NamedTuple):
    """[B, N] each, at least float32; all but the student's are constants."""

    student: Tensor
    teacher: Tensor
    clean: Tensor | None


def estimates(student: ModelOutputs, teacher: ModelOutputs, given: BatchInputs) -> Estimates:
    """Of a batch; of several microphones the first."""
    clean = None if given.clean is None else _first(given.clean)
    return Estimates(_first(student.estimate), _first(teacher.estimate.detach()), clean)


def wanted(clean: Tensor | None, method: str) -> Tensor:
    """The clean speech. Raises DistillError if there is none."""
    if clean is None:
        raise DistillError(f"{method} compares with the clean speech; give clean=…")
    return clean


def power(spectrum: Tensor) -> Tensor:
    """|X|² with a gradient that is finite at 0."""
    return torch.view_as_real(spectrum).square().sum(-1)


def compressed(spectrum: Tensor, c: float) -> Tensor:
    """X · (|X|² + 1e-8)^((c−1)/2): modulus |X|^c, the phase of X."""
    return spectrum * (power(spectrum) + FLOOR) ** ((c - 1) / 2)


def _first(signal: Tensor) -> Tensor:
    return to_float32(signal[:, 0] if signal.ndim == 3 else signal)
