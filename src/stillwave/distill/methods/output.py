"""Response distillation: the student's estimate compared with the teacher's.

After G. Hinton, O. Vinyals, J. Dean, arXiv 1503.02531; regression has no temperature, and no single paper defines the
form. With x^s, x^t the estimates and Y the noisy spectrum; the teacher is constant:

- `target: spectrum`   L = L_SE(x^s, x^t), the enhancement loss of the training with the teacher's estimate as
  reference. Its minimum is that of a perfect estimate, which is not 0 for SI-SDR.
- `target: mask`       L = mean_btd w |M^s − M^t|², M = X · conj(Y) / (|Y|² + 1e-8) the *effective* complex mask, of
  re-analysed estimates: the applied mask, bounded, and defined for networks without a mask.
  w = (|Y|² + 1e-8)^c over its mean in the example, c the loss's compression: bins without energy, in which a mask
  is arbitrary, get small weights.
- `target: waveform`   L = mean |x^s − x^t|; loud examples have larger weight.

`gate: true` (teacher-bounded regression, G. Chen et al., NeurIPS 2017): an example counts only if the student's
enhancement loss against the clean speech is above the teacher's; the others are 0 in the mean.

Estimates are [B, N], or [B, M, N], of which the first channel is used. Any B and N. Depends on phase, polarity and
level; the student also learns the teacher's errors.
"""

from __future__ import annotations

import torch
from torch import Tensor

from stillwave.distill.estimates import FLOOR, estimates, required, waveform
from stillwave.distill.grams import zero_loss
from stillwave.distill.method import BatchInputs, Method, ModelOutputs, Shapes, full_precision, register
from stillwave.losses import EnhancementLoss
from stillwave.schema import LossConfig
from stillwave.schema.methods import OutputConfig
from stillwave.stft import Stft


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
        """Return the method."""
        return cls(config, shapes.loss)

    def losses(self, student: ModelOutputs, teacher: ModelOutputs, inputs: BatchInputs) -> dict[str, Tensor]:
        """Return the loss. Raise DistillError for `gate` without clean reference."""
        student_out, teacher_out, clean = estimates(student, teacher, inputs)
        noisy, share = waveform(inputs.noisy), 1.0
        with full_precision(student_out.device):
            if self.config.gate:
                kept = self._gate(
                    student_out.detach(), teacher_out, required(clean, "output with gate: true")
                )
                if not kept.any():
                    return {self.config.target: zero_loss(student_out)}
                share = float(kept.sum()) / len(kept)
                student_out, teacher_out, noisy = student_out[kept], teacher_out[kept], noisy[kept]
            return {self.config.target: share * self._distance(student_out, teacher_out, noisy)}

    def _distance(self, student: Tensor, teacher: Tensor, noisy: Tensor) -> Tensor:
        """Return the mean over examples."""
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
    def _gate(self, student: Tensor, teacher: Tensor, clean: Tensor) -> Tensor:
        """Return in which examples the teacher's estimate is closer to the clean reference, [B]."""
        student_out, teacher_out = (
            torch.stack([self.loss(x[b : b + 1], clean[b : b + 1])["total"] for b in range(len(x))])
            for x in (student, teacher)
        )
        return ~(student_out <= teacher_out)  # NaN counts as True, so that it propagates to the loss
