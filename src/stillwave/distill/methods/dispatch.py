"""DISPatch: only the time-frequency patches in which the teacher's error is smaller than the student's.

D. Kim, J.-W. Choi, arXiv 2509.15922. With magnitudes of the waveforms (512 points, hop 128, periodic Hann window) of
student s, teacher t and clean speech x, divided into patches p of `patch_bins` bins × one frame (the last padded with
zeros):

    E^s_p = mean_d∈p (|s| − |x|)²,  KGS_p = E^s_p − E^t_p          knowledge gap
    μ_p   = 1 for the max(⌊κ·P⌋, 1) patches of an example with the largest KGS, and for ties with the last of them
    L     = Σ_bp μ_p · mean_d∈p (|s| − |t|)² / (B · P · κ)         P patches an example, κ = `keep`

This is the authors' program, except that it reflects the ends of the signal; here they are padded with zeros, so that
any length is valid. The selection carries no gradient.

`multi_scale: true` (their MSSP, reconstructed): patches of `scales[0]` bins below 2 kHz and `scales[1]` above; each
region selects and normalises separately and is weighted by its fraction of the bins. Losses `patches`, or `fine` and
`coarse`.

Options of this project: `require_positive` excludes patches in which the teacher's error is larger and divides by the
number of selected patches (top-κ alone always selects a fraction κ); `compression` applies a power to the magnitudes,
(|X|² + 1e-8)^(c/2), since at 1, the published form, loud bins and loud examples dominate; `distance: complex` compares
X_c instead of |X_c|.

Waveforms [B, N], any B and N. **Independent of phase and polarity** unless `distance: complex`. `positive` is the
fraction of patches with KGS > 0 in the last call; early in training it is close to 1.
"""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional as F  # noqa: N812

from stillwave.distill.estimates import FLOOR, compressed, estimates, power, required
from stillwave.distill.method import BatchInputs, Method, ModelOutputs, Shapes, full_precision, register
from stillwave.schema import SAMPLE_RATE
from stillwave.schema.methods import DispatchConfig

N_FFT, HOP = 512, 128
SPLIT_HZ = 2000


@register("dispatch")
class Dispatch(Method):
    """The loss `patches`, or `fine` and `coarse`."""

    Config = DispatchConfig
    title = "time-frequency patches in which the teacher is better (arXiv 2509.15922)"
    uses_features = False
    uses_estimate = True
    uses_clean = True
    window: Tensor

    def __init__(self, config: DispatchConfig) -> None:
        super().__init__()
        self.config = config
        self.positive = torch.zeros(())
        self.register_buffer("window", torch.hann_window(N_FFT), persistent=False)
        bins, split = N_FFT // 2 + 1, SPLIT_HZ * N_FFT // SAMPLE_RATE
        fine, coarse = config.scales
        # Of each loss: bins, bins in a patch, weight.
        self.regions = {"patches": (slice(0, bins), config.patch_bins, 1.0)}
        if config.multi_scale:
            self.regions = {
                "fine": (slice(0, split), fine, split / bins),
                "coarse": (slice(split, bins), coarse, 1 - split / bins),
            }

    @classmethod
    def build(cls, config: DispatchConfig, shapes: Shapes) -> Dispatch:
        """Return the method."""
        return cls(config)

    def losses(self, student: ModelOutputs, teacher: ModelOutputs, inputs: BatchInputs) -> dict[str, Tensor]:
        """Return the losses. Raise DistillError without clean reference."""
        found = estimates(student, teacher, inputs)
        with full_precision(found.student.device):
            clean = required(found.clean, "dispatch")
            student_out, teacher_out, target = (
                self._spectrum(x) for x in (found.student, found.teacher, clean)
            )
            squares = (student_out - teacher_out, student_out.detach() - target, teacher_out - target)
            distance, of_student, of_teacher = (_power(x) for x in squares)
            self.positive = (of_student > of_teacher).float().mean()
            return {
                name: weight
                * selected_mean(
                    *(patches(x[:, region], size) for x in (distance, of_student, of_teacher)),
                    keep=self.config.keep,
                    require_positive=self.config.require_positive,
                )
                for name, (region, size, weight) in self.regions.items()
            }

    def _spectrum(self, waveform: Tensor) -> Tensor:
        """Return the compared values [B, F, T]: magnitudes, or complex spectra."""
        c, window = self.config.compression, self.window.to(waveform.dtype)
        spectrum = torch.stft(waveform, N_FFT, HOP, window=window, pad_mode="constant", return_complex=True)
        if self.config.distance == "complex":
            return spectrum if c == 1 else compressed(spectrum, c)
        return spectrum.abs() if c == 1 else (power(spectrum) + FLOOR) ** (c / 2)


def patches(squares: Tensor, size: int) -> Tensor:
    """Average `size` bins of each frame, the last patch padded with zeros: [B, F, T] → [B, patches]."""
    missing = -squares.shape[1] % size
    padded = F.pad(squares, (0, 0, 0, missing))
    return padded.view(len(squares), -1, size, squares.shape[2]).mean(2).flatten(1)


def selected_mean(
    distance: Tensor, student: Tensor, teacher: Tensor, *, keep: float, require_positive: bool
) -> Tensor:
    """Return the mean distance of the selected patches, given distances and errors of patches [B, P]."""
    lead = student - teacher
    count = max(int(lead.shape[1] * keep), 1)
    # NaN compares false, so that it is selected and propagates to the loss.
    kept = ~(lead < lead.topk(count, 1).values[:, -1:])
    if not require_positive:
        return (distance * kept).sum() / (lead.numel() * keep)
    kept &= ~(lead <= 0)
    return (distance * kept).sum() / kept.sum().clamp_min(1)


def _power(difference: Tensor) -> Tensor:
    return power(difference) if difference.is_complex() else difference.square()
