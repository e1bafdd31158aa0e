"""DISPatch: only the time-frequency patches in which the teacher is ahead.

D. Kim, J.-W. Choi, arXiv 2509.15922. With magnitudes of the waveforms (512 points, hop 128, periodic Hann window) of
student s, teacher t and clean speech x, cut into patches p of `patch_bins` bins × one frame (zeros fill the last one):

    E^s_p = mean_d∈p (|s| − |x|)²,  KGS_p = E^s_p − E^t_p          the teacher's lead
    μ_p   = 1 for the max(⌊κ·P⌋, 1) patches of an example with the largest KGS, and for ties with the last of them
    L     = Σ_bp μ_p · mean_d∈p (|s| − |t|)² / (B · P · κ)         P patches an example, κ = `keep`

That much is the authors' program, but for its reflected ends: ours are padded with silence, so any length will do. The
selection carries no gradient.

`multi_scale: true` (their MSSP, reconstructed): `scales[0]` bins a patch below 2 kHz, `scales[1]` from there on; each
region selects and is normalised by itself and counts by its share of the bins. Losses `patches`, or `fine` and
`coarse`.

Options of ours: `require_positive` keeps no patch in which the teacher is behind and divides by the number kept (top-κ
alone keeps a share of κ whatever the lead); `compression` takes magnitudes to a power, (|X|² + 1e-8)^(c/2): at 1, the
published form, loud bins and loud examples are all that counts; `distance: complex` compares X_c rather than |X_c|.

Waveforms [B, N], any B and N. **Blind to phase and polarity** unless `distance: complex`. `positive` holds the share of
patches in which the teacher was ahead at the last call: nearly all early in training.
"""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional as F  # noqa: N812

from stillwave.distill.estimates import FLOOR, compressed, estimates, power, wanted
from stillwave.distill.method import BatchInputs, Method, ModelOutputs, Shapes, full_precision, register
from stillwave.schema import SAMPLE_RATE
from stillwave.schema.methods import DispatchConfig

N_FFT, HOP = 512, 128
SPLIT_HZ = 2000


@register("dispatch")
class Dispatch(Method):
    """The loss `patches`, or `fine` and `coarse`."""

    Config = DispatchConfig
    title = "the time-frequency patches in which the teacher is ahead (arXiv 2509.15922)"
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
        self.regions = {"patches": (slice(0, bins), config.patch_bins, 1.0)}
        """Bins, bins a patch, and weight of each loss."""
        if config.multi_scale:
            self.regions = {
                "fine": (slice(0, split), fine, split / bins),
                "coarse": (slice(split, bins), coarse, 1 - split / bins),
            }

    @classmethod
    def build(cls, config: DispatchConfig, shapes: Shapes) -> Dispatch:
        """Never refuses."""
        return cls(config)

    def losses(self, student: ModelOutputs, teacher: ModelOutputs, given: BatchInputs) -> dict[str, Tensor]:
        """See the file's head. Raises DistillError without clean speech."""
        found = estimates(student, teacher, given)
        with full_precision(found.student.device):
            clean = wanted(found.clean, "dispatch")
            ours, theirs, target = (self._seen(x) for x in (found.student, found.teacher, clean))
            squares = (ours - theirs, ours.detach() - target, theirs - target)
            distance, of_student, of_teacher = (_power(x) for x in squares)
            self.positive = (of_student > of_teacher).float().mean()
            return {
                name: weight
                * self._selected(*(patches(x[:, region], size) for x in (distance, of_student, of_teacher)))
                for name, (region, size, weight) in self.regions.items()
            }

    def _seen(self, waveform: Tensor) -> Tensor:
        """What is compared, [B, F, T]: magnitudes, or complex values."""
        c, window = self.config.compression, self.window.to(waveform.dtype)
        spectrum = torch.stft(waveform, N_FFT, HOP, window=window, pad_mode="constant", return_complex=True)
        if self.config.distance == "complex":
            return spectrum if c == 1 else compressed(spectrum, c)
        return spectrum.abs() if c == 1 else (power(spectrum) + FLOOR) ** (c / 2)

    def _selected(self, distance: Tensor, student: Tensor, teacher: Tensor) -> Tensor:
        """Of patches [B, P]: the mean distance of those that are kept."""
        lead, keep = student - teacher, self.config.keep
        count = max(int(lead.shape[1] * keep), 1)
        # Written as "not <" so that NaN is let through: it must show in the loss.
        kept = ~(lead < lead.topk(count, 1).values[:, -1:])
        if not self.config.require_positive:
            return (distance * kept).sum() / (lead.numel() * keep)
        kept &= ~(lead <= 0)
        return (distance * kept).sum() / kept.sum().clamp_min(1)


def patches(squares: Tensor, size: int) -> Tensor:
    """Means over `size` bins of each frame, zeros filling the last patch: [B, F, T] → [B, patches]."""
    missing = -squares.shape[1] % size
    padded = F.pad(squares, (0, 0, 0, missing))
    return padded.view(len(squares), -1, size, squares.shape[2]).mean(2).flatten(1)


def _power(difference: Tensor) -> Tensor:
    return power(difference) if difference.is_complex() else difference.square()
