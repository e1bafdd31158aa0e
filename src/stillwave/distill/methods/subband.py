"""Sub-band-style: estimates compared in frequency bands, each normalised by its energy.

After X. Hao, S. Wen, X. Su, Y. Liu, G. Gao, X. Li, "Sub-band Knowledge Distillation Framework for Speech
Enhancement", Interspeech 2020, arXiv 2005.14435, where one teacher is trained for each band, and one student, shared by
all bands, learns from them. Reconstructed, since the text could not be read; this is the form with *one* full-band
teacher and a full-band student, in which only the comparison is divided into bands.

With X^s, X^t, X the spectra of the student's, teacher's and clean waveform (512 points, hop 256), _c: magnitude to the
power of the enhancement loss's `compression`, D_1 … D_K bands of equal width of the F bins:

    L_k = |D_k|/F · Σ_b g_bk Σ_t,d∈D_k |X^s_c − X^t_c|² / (Σ_b,t,d∈D_k |X_c|² + ε)

Choices of this project: each band is divided by its clean energy, so that weak high bands count; g_bk = 1 if in example
b the teacher's error in the band is below the student's, else 0 (`gate: false`: always 1); ε is the energy of as many
bins of power 1e-8, so that a band without speech has a finite loss. L_KD = Σ L_k, losses `band_1` … `band_K`.

Waveforms [B, N], any B and N. Depends on phase, polarity and level, except in bands that the gate excludes. Loud
examples have larger weight within a batch.
"""

from __future__ import annotations

from itertools import pairwise

import torch
from torch import Tensor

from stillwave.distill.estimates import FLOOR, compressed, estimates, power, required
from stillwave.distill.method import BatchInputs, Method, ModelOutputs, Shapes, full_precision, register
from stillwave.schema.methods import SubbandConfig
from stillwave.stft import Stft


@register("subband")
class Subband(Method):
    """One loss for each band, lowest first."""

    Config = SubbandConfig
    title = "estimates in bands, normalised by their energy (sub-band-style, arXiv 2005.14435)"
    uses_features = False
    uses_estimate = True
    uses_clean = True
    published_weight = 1.0  # (1 − α)·L_SE + α·L_KD with α = 1/2

    def __init__(self, config: SubbandConfig, compression: float) -> None:
        super().__init__()
        self.config = config
        self.compression = compression
        self.stft = Stft()
        bins = self.stft.bins
        edges = [band * bins // config.bands for band in range(config.bands + 1)]
        self.widths = [high - low for low, high in pairwise(edges)]

    @classmethod
    def build(cls, config: SubbandConfig, shapes: Shapes) -> Subband:
        """Return the method."""
        return cls(config, shapes.loss.compression)

    def losses(self, student: ModelOutputs, teacher: ModelOutputs, inputs: BatchInputs) -> dict[str, Tensor]:
        """Return the losses by band. Raise DistillError without clean reference."""
        found = estimates(student, teacher, inputs)
        with full_precision(found.student.device):
            student_out, teacher_out, clean = (
                self._spectrum(x) for x in (found.student, found.teacher, required(found.clean, "subband"))
            )
            distance, energy = self._energies(student_out - teacher_out), self._energies(clean)
            if self.config.gate:
                # NaN compares false, so that it passes the gate and propagates to the loss.
                ahead = ~(self._energies(student_out.detach() - clean) <= self._energies(teacher_out - clean))
                distance = distance * ahead
            floor = FLOOR**self.compression * clean.shape[0] * clean.shape[1]
            return {
                f"band_{k + 1}": width
                / self.stft.bins
                * distance[:, k].sum()
                / (energy[:, k].sum() + floor * width)
                for k, width in enumerate(self.widths)
            }

    def _spectrum(self, waveform: Tensor) -> Tensor:
        return compressed(self.stft.analyse(waveform), self.compression)

    def _energies(self, spectrum: Tensor) -> Tensor:
        """Return the energy of each band, [B, bands], summed over frames and bins."""
        return torch.stack([part.sum((1, 2)) for part in torch.split(power(spectrum), self.widths, 2)], 1)
