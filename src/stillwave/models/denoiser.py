"""What every network of this package promises: a noisy waveform in, an aligned estimate out."""

from __future__ import annotations

from abc import ABC, abstractmethod

import torch
from torch import Tensor, nn

from stillwave.errors import StillwaveError
from stillwave.models.layers import compress
from stillwave.models.norms import RunningLevel
from stillwave.schema import SAMPLE_RATE, ModelConfig
from stillwave.stft import Stft


class Denoiser(nn.Module, ABC):
    """A network on spectra, wrapped so that waveforms go in and come out.

    A network of your own needs `estimate` and `default_taps`; see `stillwave.models.build` for the registry.
    """

    sample_rate: int = SAMPLE_RATE

    def __init__(self, config: ModelConfig, stft: Stft) -> None:
        super().__init__()
        self.config = config
        self.microphones = config.microphones
        self.causal = config.causal
        self.stft = stft
        self.level = RunningLevel() if config.level_normalized else None

    @abstractmethod
    def estimate(self, spectrum: Tensor) -> Tensor:
        """Clean spectrum at microphone 0 from the noisy ones.

        `spectrum` is real `[B, 2·microphones, T, F]`: the real parts of all microphones, then the imaginary
        parts. The estimate is `[B, 2, T, F]`: real part, imaginary part.
        """

    @abstractmethod
    def default_taps(self) -> dict[str, list[str]]:
        """Sets of layers worth comparing in distillation: set name to layer names, in network order."""

    def fold(self) -> None:
        """Merge what is constant once trained, in place, before the network is exported."""

    def check_spectrum(self, spectrum: Tensor) -> None:
        """Raise StillwaveError unless `spectrum` is what `estimate` takes."""
        wanted = (2 * self.microphones, self.stft.bins)
        if spectrum.ndim != 4 or (spectrum.shape[1], spectrum.shape[3]) != wanted:
            raise StillwaveError(
                f"estimate takes a spectrum [B, {wanted[0]}, T, {wanted[1]}], got {list(spectrum.shape)}"
            )

    def preprocess(self, spectrum: Tensor) -> Tensor:
        """What a network sees of its input: compressed magnitudes, without their level where it is `levelled`."""
        if self.level is None:
            return compress(spectrum, self.config.compression)
        normalized: Tensor = self.level(compress(spectrum, self.config.compression, floor=1e-14))
        return normalized

    def forward(self, noisy: Tensor) -> Tensor:
        """Noisy `[B, N]` or `[B, microphones, N]`, N ≥ 1, to the estimate `[B, N]` at microphone 0.

        Raises StillwaveError for any other shape.
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
