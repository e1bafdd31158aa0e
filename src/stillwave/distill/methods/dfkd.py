"""DFKD-style: estimates below and above a crossover frequency, compared by different losses.

After Yuan, Liu, Chen, Zhou, Li, Hu, "Dynamic Frequency-Adaptive Knowledge Distillation for Speech Enhancement",
arXiv 2502.04711. Reconstructed from second-hand accounts: a crossover at the steepest slope of the output spectrum, a
modified cosine loss below it and a weighted loss above. Each formula here is our reading.

With X^s, X^t the spectra of both estimates (512 points, hop 256), for each example:

- Crossover d*: E_d = mean_t log(|X^t_td|² + 1e-8), averaged over 5 bins; d* is the bin between 500 Hz and 6 kHz after
  which E decreases most. It is an integer and has no gradient. `crossover: fixed` sets it to `fixed_hz`, as a control.
- Below: L_low = mean_t [ 1 − cos(s_t, t_t) + (log ‖s_t‖ − log ‖t_t‖)² ], s_t and t_t the bins d < d* of a frame as real
  vectors; the second term because a cosine does not depend on the level.
- From d* on: L_high = η · mean_td (|Re| + |Im|)(X^s_c − X^t_c), _c: magnitude to the power of the enhancement loss's
  `compression`, η = `high`.

Losses `low` and `high`, means over the batch. Silence: frames in which the teacher's low band is 60 dB below its
loudest are left out of L_low; both vectors get an additional component of that size (at least 1e-4), so that a silent
student frame has a finite loss and gradient, and the loss of equal frames is exactly 0.

Waveforms [B, N], any B and N. Depends on phase, polarity and level.
"""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional as F  # noqa: N812

from stillwave.distill.estimates import FLOOR, compressed, estimates, power
from stillwave.distill.method import (
    BatchInputs,
    DistillError,
    Method,
    ModelOutputs,
    Shapes,
    full_precision,
    register,
)
from stillwave.schema import SAMPLE_RATE
from stillwave.schema.methods import DfkdConfig
from stillwave.stft import Stft

MIN_HZ, MAX_HZ = 500.0, 6000.0
SMOOTH = 5
SILENCE = 1e-3
"""Norm of a frame relative to the loudest: −60 dB."""


@register("dfkd")
class Dfkd(Method):
    """Losses `low` and `high`."""

    Config = DfkdConfig
    title = "estimates below and above a crossover that follows the spectrum (DFKD-style, arXiv 2502.04711)"
    uses_features = False
    uses_estimate = True

    def __init__(self, config: DfkdConfig, compression: float) -> None:
        super().__init__()
        self.config = config
        self.compression = compression
        self.stft = Stft()

    @classmethod
    def build(cls, config: DfkdConfig, shapes: Shapes) -> Dfkd:
        """Raise DistillError if a fixed crossover leaves no bins above it."""
        if config.crossover == "fixed" and config.fixed_hz >= SAMPLE_RATE / 2:
            raise DistillError(
                f"fixed_hz is {config.fixed_hz:g}, above the highest frequency; use less than {SAMPLE_RATE // 2}"
            )
        return cls(config, shapes.loss.compression)

    def losses(self, student: ModelOutputs, teacher: ModelOutputs, inputs: BatchInputs) -> dict[str, Tensor]:
        """Return the losses of both bands."""
        found = estimates(student, teacher, inputs)
        with full_precision(found.student.device):
            student_out, teacher_out = self.stft.analyse(found.student), self.stft.analyse(found.teacher)
            bins = torch.arange(self.stft.bins, device=student_out.device)
            low = bins < self._crossover(teacher_out).unsqueeze(1)  # [B, F]
            return {
                "low": _low(student_out * low.unsqueeze(1), teacher_out * low.unsqueeze(1)),
                "high": self.config.high * self._high(student_out, teacher_out, ~low),
            }

    def _crossover(self, teacher: Tensor) -> Tensor:
        """Return the first bin of the upper band, [B]."""
        if self.config.crossover == "fixed":
            bin_of = round(self.config.fixed_hz * self.stft.n_fft / SAMPLE_RATE)
            return torch.full((len(teacher),), max(1, min(bin_of, self.stft.bins - 1)), device=teacher.device)
        return crossover(power(teacher), SAMPLE_RATE / self.stft.n_fft)

    def _high(self, student: Tensor, teacher: Tensor, high: Tensor) -> Tensor:
        difference = compressed(student, self.compression) - compressed(teacher, self.compression)
        size = torch.view_as_real(difference).abs().sum(-1).mean(1)  # [B, F]
        return ((size * high).sum(1) / high.sum(1)).mean()


def crossover(powers: Tensor, hertz: float) -> Tensor:
    """Return the bin after which the spectrum decreases most, [B], for powers [B, T, F] with bins `hertz` apart."""
    envelope = (powers + FLOOR).log().mean(1)
    padded = F.pad(envelope.unsqueeze(1), (SMOOTH // 2, SMOOTH // 2), mode="replicate")
    slope = F.avg_pool1d(padded, SMOOTH, 1).squeeze(1).diff(dim=1)
    first, last = round(MIN_HZ / hertz), round(MAX_HZ / hertz)
    return slope[:, first : last + 1].argmin(1) + first


def _low(student: Tensor, teacher: Tensor) -> Tensor:
    """Return L_low of spectra [B, T, F] whose upper bins are 0."""
    norms = power(teacher).sum(-1).sqrt()
    floor = (SILENCE * norms.amax(1, keepdim=True)).clamp_min(FLOOR**0.5)
    student_out, teacher_out = (power(x).sum(-1) + floor.square() for x in (student, teacher))
    product = (torch.view_as_real(student) * torch.view_as_real(teacher)).sum((-1, -2)) + floor.square()
    distance = (
        1 - product * (student_out * teacher_out).rsqrt() + ((student_out / teacher_out).log() / 2).square()
    )
    active = norms > floor
    return ((distance * active).sum(1) / active.sum(1).clamp_min(1)).mean()
