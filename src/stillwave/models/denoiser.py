"""The base class of networks: noisy waveform in, aligned estimate of the same length out."""

from __future__ import annotations

from abc import ABC, abstractmethod

import torch
from torch import Tensor, nn

from stillwave.errors import StillwaveError
from stillwave.models.layers import compress
from stillwave.models.norms import RunningLevel
from stillwave.schema import ModelConfig
from stillwave.stft import Stft


class Denoiser(nn.Module, ABC):
    """A network on spectra with analysis and synthesis, from waveform to waveform.

    Subclasses implement `estimate` and `default_taps`; register one in `stillwave.models.NETWORKS`.

    Args:
        config: Kind and size of the network.
        stft: Analysis and synthesis.

    """

    def __init__(self, config: ModelConfig, stft: Stft) -> None:
        super().__init__()
        self.config = config
        self.sample_rate = config.sample_rate
        self.microphones = config.microphones
        self.causal = config.causal
        self.stft = stft
        self.level = RunningLevel() if config.level_normalized else None

    @abstractmethod
    def estimate(self, spectrum: Tensor) -> Tensor:
        """Estimate the clean spectrum at microphone 0.

        Args:
            spectrum: Real `[B, 2·microphones, T, F]`: real parts of all microphones, then imaginary parts.

        Returns:
            `[B, 2, T, F]`: real part, imaginary part.

        """

    @abstractmethod
    def default_taps(self) -> dict[str, list[str]]:
        """Return the tap sets for distillation: set name to layer names, in network order."""

    def fold(self) -> None:
        """Merge constant operations, in place, before export."""

    def check_spectrum(self, spectrum: Tensor) -> None:
        """Raise StillwaveError unless `spectrum` has the shape that `estimate` takes."""
        wanted = (2 * self.microphones, self.stft.bins)
        if spectrum.ndim != 4 or (spectrum.shape[1], spectrum.shape[3]) != wanted:
            raise StillwaveError(
                f"estimate takes a spectrum [B, {wanted[0]}, T, {wanted[1]}], got {list(spectrum.shape)}"
            )

    def preprocess(self, spectrum: Tensor) -> Tensor:
        """Compress the magnitudes of a spectrum and, with `level_normalized`, normalise their level."""
        if self.level is None:
            return compress(spectrum, self.config.compression)
        normalized: Tensor = self.level(compress(spectrum, self.config.compression, floor=1e-14))
        return normalized

    def forward(self, noisy: Tensor) -> Tensor:
        """Estimate the clean speech at microphone 0.

        Args:
            noisy: `[B, N]`, or `[B, microphones, N]` for several microphones, N ≥ 1.

        Returns:
            The estimate `[B, N]`.

        Raises:
            StillwaveError: The input has another shape.

        """
        noisy = self._with_microphones(noisy)
        spectrum = self.stft.analyse(noisy)
        estimate = self.estimate(torch.cat([spectrum.real, spectrum.imag], dim=1))
        real, imaginary = estimate.to(noisy.dtype).unbind(1)
        return self.stft.synthesise(torch.complex(real, imaginary), noisy.shape[-1])

    def _with_microphones(self, noisy: Tensor) -> Tensor:
        if noisy.ndim == 2 and self.microphones == 1:
            return noisy[:, None]
        if noisy.ndim == 3 and noisy.shape[1] == self.microphones:
            return noisy
        wanted = "[batch, samples]" if self.microphones == 1 else f"[batch, {self.microphones}, samples]"
        raise StillwaveError(
            f"a network for {self.microphones} microphone(s) takes a waveform {wanted}, "
            f"got {list(noisy.shape)}"
        )
