"""A network for 48 kHz: a band-split network for 16 kHz, and gains for the bands above 8 kHz.

Frames of 32 ms have the same bins below 8 kHz at both rates, so the part for 16 kHz (`narrow`) is a `BSRNN` with the
weights of a trained one. They stay as they are: recordings at 48 kHz are few, and the band below 8 kHz keeps what was
learnt from many more speakers and noises. Above 8 kHz, each of `upper_bands` bands has a real gain of 0 … 1. It starts
from the gain that the narrow part applied from 5 to 7.5 kHz, as in `inference/upper_band.py`, and a recurrent layer
corrects its logit from the spectrum above 4 kHz. A gain amplifies nothing, so that a band that is empty in the input
stays empty.
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
FIRST, GROUPS, WIDTH = 129, 8, 16
"""Bins from 4 to 8 kHz, in groups whose magnitudes and gains are inputs of the recurrent layer."""
START = slice(160, 240)
"""Bins from 5 to 7.5 kHz, whose gain the gains above 8 kHz start from."""
_LEAST = 1e-10


class FullBand(Denoiser):
    """A `BSRNN` below 8 kHz and a recurrent layer that estimates gains above.

    The parameters of `narrow` are not trained; `train.start_from` names the network that they come from.
    """

    def __init__(self, config: ModelConfig) -> None:
        super().__init__(config, Stft(n_fft=1536, hop=768))
        if not config.causal:
            raise RecipeError("model.causal: 'fullband' has a causal recurrent layer; set it to true")
        self.narrow = BSRNN(config.model_copy(update={"name": "bsrnn"})).requires_grad_(requires_grad=False)
        self.inward = nn.Linear(config.upper_bands + 2 * GROUPS, config.upper_channels)
        self.time = UnidirectionalGRU(config.upper_channels, config.upper_channels)
        self.correction = nn.Linear(config.upper_channels, config.upper_bands)
        nn.init.zeros_(self.correction.weight)
        nn.init.zeros_(self.correction.bias)
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
        estimate = self.narrow.estimate(low / scale) * scale
        return torch.cat([estimate, upper * self._gains(spectrum, estimate)[:, None]], dim=3)

    def _gains(self, spectrum: Tensor, estimate: Tensor) -> Tensor:
        """Return the gains of the bins above 8 kHz, `[B, T, 512]`, from the input and the estimate below."""
        magnitudes = (self.preprocess(spectrum).square().sum(1) + 1e-8).sqrt()
        grouped = _grouped(magnitudes[..., :SHARED_BINS]) / WIDTH
        before, after = (x.square().sum(1) for x in (spectrum[..., :SHARED_BINS], estimate))
        gains = _gain(_grouped(before), _grouped(after))
        features = [magnitudes[..., SHARED_BINS:] @ self.means, grouped, gains]
        x = nn.functional.silu(self.inward(torch.cat(features, dim=2)))
        x = self.correction(self.time(x[:, :, None], axis=1)[:, :, 0])
        start = 0.998 * _gain(*(p[..., START].sum(2, keepdim=True) for p in (before, after))) + 0.001
        return torch.sigmoid(torch.log(start / (1 - start)) + x) @ self.shapes

    def fold(self) -> None:
        """Compute the narrow part as `BSRNN.fold` does."""
        self.narrow.fold()

    def default_taps(self) -> dict[str, list[str]]:
        """Return tap sets: those of the narrow part."""
        found = self.narrow.default_taps()
        return {name: [f"narrow.{layer}" for layer in layers] for name, layers in found.items()}


def _grouped(x: Tensor) -> Tensor:
    """Return the sums of the groups of bins, `[B, T, GROUPS]`, of `[B, T, 257]`."""
    return x[..., FIRST:].reshape(*x.shape[:2], GROUPS, WIDTH).sum(3)


def _gain(before: Tensor, after: Tensor) -> Tensor:
    """Return the amplitude ratio of two powers, `after` over `before`, at most 1; 1 for silence."""
    return ((after + _LEAST) / (before + _LEAST)).clamp(max=1).sqrt()


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
