"""Response distillation: the student's estimate against the teacher's.

Goes back to G. Hinton, O. Vinyals, J. Dean, arXiv 1503.02531; for regression there is no temperature, and no one
paper defines the form. With x^s, x^t both estimates, Y the noisy spectrum, everything of the teacher constant:

- `target: spectrum`   L = L_SE(x^s, x^t), the run's own enhancement loss with the teacher's estimate for the clean
  speech. Its least value is that of a perfect estimate, which for SI-SDR is not 0.
- `target: mask`       L = mean_btd w |M^s − M^t|², M = X · conj(Y) / (|Y|² + 1e-8) the *effective* complex mask, of
  re-analysed estimates: what the network's own mask did, within bounds, and defined for networks without one.
  w = (|Y|² + 1e-8)^c over its mean in the example, c the loss's compression: bins without energy, in which a mask
  is arbitrary, count little.
- `target: waveform`   L = mean |x^s − x^t|; loud examples count more.

`gate: true` (teacher-bounded regression, G. Chen et al., NeurIPS 2017): an example counts only where the student's
enhancement loss against the clean speech is above the teacher's; the others are 0 in the mean.

Estimates are [B, N], or [B, M, N] of which the first channel counts. Any B and N. Sees phase, polarity and level;
with it the student learns the teacher's mistakes as well.
"""

from __future__ import annotations

import torch
from torch import Tensor

from stillwave.distill.grams import zero_loss
from stillwave.distill.method import (
    BatchInputs,
    DistillError,
    Method,
    ModelOutputs,
    Shapes,
    full_precision,
    register,
    to_float32,
)
from stillwave.losses import EnhancementLoss
from stillwave.schema import LossConfig
from stillwave.schema.methods import OutputConfig
from stillwave.stft import Stft

FLOOR = 1e-8


@register("output")
class Output(Method):
    """One loss, named after the target."""

    Config = OutputConfig
    title = "the teacher's estimate as a second reference (response)"
    uses_features = False
    uses_estimate = True
    published_weight = 1.0  # the usual (1 − α) · L_SE + α · L_KD with α = 1/2

    def __init__(self, config: OutputConfig, loss: LossConfig) -> None:
        super().__init__()
        self.config = config
        self.loss = EnhancementLoss(loss)
        self.stft = Stft()

    @classmethod
    def build(cls, config: OutputConfig, shapes: Shapes) -> Output:
        """Never refuses."""
        return cls(config, shapes.loss)

    def losses(self, student: ModelOutputs, teacher: ModelOutputs, given: BatchInputs) -> dict[str, Tensor]:
        """See the file's head. Raises DistillError for `gate` without clean speech."""
        ours, theirs = _waveform(student.estimate), _waveform(teacher.estimate.detach())
        noisy, share = _waveform(given.noisy), 1.0
        with full_precision(ours.device):
            if self.config.gate:
                kept = self._gate(ours.detach(), theirs, given.clean)
                if not kept.any():
                    return {self.config.target: zero_loss(ours)}
                share = float(kept.sum()) / len(kept)
                ours, theirs, noisy = ours[kept], theirs[kept], noisy[kept]
            return {self.config.target: share * self._distance(ours, theirs, noisy)}

    def _distance(self, student: Tensor, teacher: Tensor, noisy: Tensor) -> Tensor:
        """A mean over examples, whatever the target."""
        if self.config.target == "spectrum":
            total: Tensor = self.loss(student, teacher)["total"]
            return total
        if self.config.target == "waveform":
            return (student - teacher).abs().mean()
        spectrum = self.stft.analyse(noisy)
        power = spectrum.abs().square() + FLOOR
        # Both masks have the same divisor, so the difference of spectra is enough.
        difference = self.stft.analyse(student - teacher) * spectrum.conj() / power
        weights = power**self.loss.config.compression
        weights = weights / weights.mean((1, 2), keepdim=True)
        return (weights * torch.view_as_real(difference).square().sum(-1)).mean()

    @torch.no_grad()
    def _gate(self, student: Tensor, teacher: Tensor, clean: Tensor | None) -> Tensor:
        """[B]: in which examples the teacher is nearer to the clean speech."""
        if clean is None:
            raise DistillError("output with gate: true compares with the clean speech; give clean=…")
        clean = _waveform(clean)
        ours, theirs = (
            torch.stack([self.loss(x[b : b + 1], clean[b : b + 1])["total"] for b in range(len(x))])
            for x in (student, teacher)
        )
        return ~(ours <= theirs)  # NaN must show in the loss


def _waveform(signal: Tensor) -> Tensor:
    """[B, N] of the first channel, at least float32."""
    return to_float32(signal[:, 0] if signal.ndim == 3 else signal)
