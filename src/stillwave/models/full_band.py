"""A network for 48 kHz: a band-split network for 16 kHz, and gains for the bands above 8 kHz.

Frames of 32 ms have the same bins below 8 kHz at both rates, so the part for 16 kHz (`narrow`) is a `BSRNN` with the
weights of a trained one. They stay as they are: recordings at 48 kHz are few, and the band below 8 kHz keeps what was
learnt from many more speakers and noises. Above 8 kHz, `upper_bands` real gains of 0 … 1 are estimated from the
magnitudes of the input there and from the vectors of the uppermost bands below. A gain amplifies nothing, so that a
band that is empty in the input stays empty.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn

from stillwave.errors import RecipeError
from stillwave.models.bsrnn import BSRNN
from stillwave.models.denoiser import Denoiser
from stillwave.models.layers import UnidirectionalGRU
from stillwave.schema import ModelConfig
from stillwave.stft import Stft

SHARED_BINS = 257
"""Bins of a frame of 32 ms from 0 to 8 kHz."""
NEIGHBOURS = 8
"""Uppermost bands of the narrow network whose vectors the gains depend on; with 32 bands, 4 to 8 kHz."""


class FullBand(Denoiser):
    """A `BSRNN` below 8 kHz and a recurrent layer that estimates gains above.

    The parameters of `narrow` are not trained; `train.start_from` names the network that they come from.
    """

    def __init__(self, config: ModelConfig) -> None:
        super().__init__(config, Stft(n_fft=1536, hop=768))
        if not config.causal:
            raise RecipeError("model.causal: 'fullband' has a causal recurrent layer; set it to true")
        self.narrow = BSRNN(config.model_copy(update={"name": "bsrnn"})).requires_grad_(requires_grad=False)
        inputs = config.upper_bands + min(NEIGHBOURS, config.bands) * config.channels
        self.inward = nn.Linear(inputs, config.upper_channels)
        self.time = UnidirectionalGRU(config.upper_channels, config.upper_channels)
        self.gain = nn.Linear(config.upper_channels, config.upper_bands)
        shapes = band_shapes(self.stft.bins - SHARED_BINS, config.upper_bands)
        self.register_buffer("shapes", shapes, persistent=False)
        self.register_buffer("means", (shapes / shapes.sum(1, keepdim=True)).T.contiguous(), persistent=False)

    shapes: Tensor
    means: Tensor

    def estimate(self, spectrum: Tensor) -> Tensor:
        """Map `[B, 2, T, 769]` to `[B, 2, T, 769]`, T ≥ 1. See `Denoiser.estimate`."""
        self.check_spectrum(spectrum)
        scale = self.sample_rate / self.narrow.sample_rate  # a window at 48 kHz has three times the samples
        low, upper = spectrum[..., :SHARED_BINS], spectrum[..., SHARED_BINS:]
        estimate, hidden = self.narrow.estimate_and_hidden(low / scale)
        features = self.preprocess(spectrum)[..., SHARED_BINS:]
        magnitudes = (features.square().sum(1) + 1e-8).sqrt() @ self.means  # [B, T, U]
        gains = self._gains(torch.cat([magnitudes, hidden[:, :, -NEIGHBOURS:].flatten(2)], dim=2))
        return torch.cat([estimate * scale, upper * gains[:, None]], dim=3)

    def _gains(self, x: Tensor) -> Tensor:
        """Map `[B, T, inputs]` to the gains of the bins, `[B, T, 512]`."""
        x = nn.functional.silu(self.inward(x))
        x = self.time(x[:, :, None], axis=1)[:, :, 0]
        return torch.sigmoid(self.gain(x)) @ self.shapes

    def fold(self) -> None:
        """Compute the narrow part as `BSRNN.fold` does."""
        self.narrow.fold()

    def default_taps(self) -> dict[str, list[str]]:
        """Return tap sets: those of the narrow part."""
        found = self.narrow.default_taps()
        return {name: [f"narrow.{layer}" for layer in layers] for name, layers in found.items()}


def band_shapes(bins: int, bands: int) -> Tensor:
    """Return the weight of each band at each bin above 8 kHz, `[bands, bins]`: linear from one centre to the next.

    Centres are equally spaced on the ERB-rate scale from 8 to 24 kHz. The weights of a bin sum to 1.

    Examples:
        >>> shapes = band_shapes(512, 16)
        >>> shapes.shape, bool(torch.allclose(shapes.sum(0), torch.ones(512)))
        (torch.Size([16, 512]), True)

    """
    low, high = (21.4 * math.log10(1 + 0.00437 * hz) for hz in (8_000, 24_000))
    hertz = torch.linspace(8_000, 24_000, bins + 1, dtype=torch.float64)[1:]
    places = (21.4 * torch.log10(1 + 0.00437 * hertz) - low) / (high - low) * bands - 0.5
    distance = (places.clamp(0, bands - 1)[None, :] - torch.arange(bands)[:, None]).abs()
    return (1 - distance).clamp(min=0).float()
