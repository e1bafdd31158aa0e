"""DPDCRN: dual-path dense convolutional recurrent network (Cheng et al., arXiv 2506.13127).

As published it is non-causal: attention along time covers the whole signal, and InstanceNorm and GroupNorm average over
all frames. With `causal`, attention covers past frames only and norms use no later frame (`norms.py`); all other layers
are causal anyway. Presets of the causal form use compressed magnitudes (`compress`), because causal norms cannot remove
the level of a recording as norms over the whole signal do.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from stillwave.models.denoiser import Denoiser
from stillwave.models.layers import (
    ConvStage,
    DilatedDense,
    DualPath,
    MaskHead,
    apply_filters,
    apply_mask,
)
from stillwave.schema import ModelConfig
from stillwave.stft import Stft


class DPDCRN(Denoiser):
    """Encoder of three stages (257 → 129 → 64 bins), dual-path blocks, decoder of three stages, complex mask.

    All microphones are inputs. By default each has a complex filter, and the filtered spectra are summed; with
    `output: mask` a mask is applied to microphone 0. The paper does not specify which; filters measured better
    (docs/multichannel.md).

    Examples:
        >>> sum(p.numel() for p in DPDCRN(ModelConfig(channels=64, blocks=1)).parameters())
        595494

    """

    def __init__(self, config: ModelConfig) -> None:
        super().__init__(config, Stft(n_fft=512, hop=256))
        c, kernel, stride, norm = config.channels, (1, 3), (1, 2), config.norm
        self.encoder = nn.ModuleList(
            [
                ConvStage(nn.Conv2d(2 * config.microphones, c, kernel, stride=stride, padding=(0, 1)), norm),
                ConvStage(nn.Conv2d(c, c, kernel, stride=stride), norm),
                DilatedDense(c, config.depth, norm),
            ]
        )
        self.middle = DualPath(c, config.blocks, norm, config.past_frames if config.causal else 0)
        self.decoder = nn.ModuleList(
            [
                DilatedDense(c, config.depth, norm),
                ConvStage(nn.ConvTranspose2d(c, c, kernel, stride=stride), norm),
                MaskHead(c, self.stft.bins, self.microphones if config.output == "filters" else 1),
            ]
        )

    def estimate(self, spectrum: Tensor) -> Tensor:
        """Map `[B, 2·microphones, T, 257]` to `[B, 2, T, 257]`, T ≥ 1. See `Denoiser.estimate`."""
        self.check_spectrum(spectrum)
        x = self.preprocess(spectrum)
        if x.device.type == "cpu":  # convolutions are up to a third faster in this layout
            x = x.contiguous(memory_format=torch.channels_last)
        for stage in (*self.encoder, self.middle, *self.decoder):
            x = stage(x)
        if self.config.output == "filters":
            return apply_filters(x.to(spectrum.dtype), spectrum)
        return apply_mask(x.to(spectrum.dtype), spectrum[:, :: self.microphones])

    def default_taps(self) -> dict[str, list[str]]:
        """Return the tap sets of the paper: encoder and decoder stages, and the head output after each block."""
        return {
            "encoder": [f"encoder.{i}" for i in range(3)],
            "middle": [f"middle.outputs.{i}" for i in range(self.config.blocks)],
            "decoder": [f"decoder.{i}" for i in range(3)],
        }
