"""The band-split network: input and output, receptive field, and bands."""

import itertools

import pytest
import torch
from torch import Tensor

from stillwave.distill.taps import Taps
from stillwave.errors import RecipeError
from stillwave.models import build
from stillwave.models.bsrnn import BSRNN, BandLinear, band_widths
from stillwave.models.streaming import streaming
from stillwave.schema import ModelConfig


def small(**options: object) -> BSRNN:
    torch.manual_seed(0)
    config = {"name": "bsrnn", "channels": 8, "blocks": 2, "bands": 16, "norm": "frame", "compression": 0.3}
    network = build(ModelConfig.model_validate({**config, **options}))
    assert isinstance(network, BSRNN)
    return network.eval()


def noise(*shape: int) -> Tensor:
    return 0.1 * torch.randn(*shape, generator=torch.Generator().manual_seed(1))


@pytest.mark.parametrize("samples", [1, 255, 256, 257, 5000])
@pytest.mark.parametrize("causal", [True, False])
def test_same_length_out_as_in(samples: int, causal: bool) -> None:
    estimate = small(causal=causal)(noise(2, samples))
    assert estimate.shape == (2, samples)
    assert torch.isfinite(estimate).all()


def test_silence_in_exactly_silence_out_with_finite_gradients() -> None:
    network = small(causal=True)
    quiet = torch.zeros(2, 1000, requires_grad=True)
    estimate = network(quiet)
    assert not estimate.any()
    (estimate - 0.1).square().sum().backward()
    assert quiet.grad is not None
    assert torch.isfinite(quiet.grad).all()
    assert all(torch.isfinite(p.grad).all() for p in network.parameters() if p.grad is not None)


@pytest.mark.parametrize("causal", [True, False])
def test_every_parameter_learns(causal: bool) -> None:
    network = small(causal=causal).train()
    network(noise(2, 4000)).square().sum().backward()
    still = [name for name, p in network.named_parameters() if p.grad is None or not p.grad.any()]
    assert not still


def test_examples_of_a_batch_are_independent() -> None:
    network, batch = small(causal=True), noise(3, 3000)
    torch.testing.assert_close(network(batch)[1:2], network(batch[1:2]), atol=1e-6, rtol=0)


def test_only_the_causal_network_has_no_look_ahead() -> None:
    noisy, changed = noise(1, 8000), noise(1, 8000)
    changed[:, 5000:] += noise(1, 3000)
    past = 5000 - 511  # a sample's last frame ends up to 511 samples after it
    for causal in (True, False):
        difference = (small(causal=causal)(noisy) - small(causal=causal)(changed)).abs()
        assert (difference[:, :past].max().item() == 0) == causal


def test_the_estimate_never_exceeds_the_noisy_spectrum() -> None:
    spectrum = torch.randn(1, 2, 20, 257)
    estimate = small(causal=True).estimate(spectrum)
    assert (estimate.square().sum(1) <= spectrum.square().sum(1) * (1 + 1e-5)).all()


@pytest.mark.parametrize("bands", [8, 16, 32, 64])
def test_a_band_depends_on_its_own_bins_and_masks_only_them(bands: int) -> None:
    """Without blocks, a change in one bin changes the vector of its band and of no other, and likewise out."""
    network = small(causal=True, bands=bands)
    network.blocks = torch.nn.ModuleList()
    widths = band_widths(257, bands)
    spectrum = torch.randn(1, 2, 1, 257)
    before = network.estimate(spectrum)
    low = 0
    for width in widths:
        changed = spectrum.clone()
        changed[..., low] += 1
        moved = (network.estimate(changed) != before).any(1)[0, 0].nonzero().flatten()
        assert moved.min() == low
        assert moved.max() == low + width - 1
        low += width


@pytest.mark.parametrize("bands", range(8, 65, 7))
def test_bands_cover_every_bin_once_and_widen(bands: int) -> None:
    widths = band_widths(257, bands)
    assert sum(widths) == 257
    assert min(widths) >= 2
    assert all(b >= a - 2 for a, b in itertools.pairwise(widths))


@pytest.mark.parametrize("inward", [True, False])
def test_band_layers_are_a_linear_layer_each(inward: bool) -> None:
    sizes, channels = [2, 3, 5], 4
    layer = BandLinear(sizes, channels, inward=inward)
    with torch.no_grad():
        layer.bias.normal_()
    x = torch.randn(2, 6, 10) if inward else torch.randn(2, 6, 3, channels)
    parts = []
    for k, weight in enumerate(layer.weight.split(sizes)):
        if inward:
            parts.append(x.split(sizes, dim=2)[k] @ weight + layer.bias[k])
        else:
            parts.append(x[:, :, k] @ weight.T + layer.bias.split(sizes)[k])
    expected = torch.stack(parts, dim=2) if inward else torch.cat(parts, dim=2)
    torch.testing.assert_close(layer(x), expected)


def test_taps_name_layers_of_one_vector_a_band() -> None:
    network = small(causal=True)
    for names in network.default_taps().values():
        for layer in Taps(network, names).shapes(noise(2, 2560)).values():
            assert (layer.channels, layer.frames, layer.bins) == (8, 11, 16)


def test_several_microphones_are_refused() -> None:
    with pytest.raises(RecipeError, match="one microphone"):
        small(causal=True, microphones=4)


@pytest.mark.parametrize("causal", [True, False])
def test_the_layout_for_export_computes_the_same(causal: bool) -> None:
    network = small(causal=causal, level_normalized=causal)
    spectrum = noise(3, 2, 20, network.stft.bins)
    wanted = network.estimate(spectrum)
    network.fold()
    torch.testing.assert_close(network.estimate(spectrum), wanted, atol=1e-6, rtol=0)


def test_the_layout_for_export_streams() -> None:
    network = small(causal=True)
    spectrum = noise(2, 2, 20, network.stft.bins)
    network.fold()
    wanted = network.estimate(spectrum)
    with streaming(network), torch.no_grad():
        parts = [network.estimate(block) for block in spectrum.split([1, 7, 12], dim=2)]
    torch.testing.assert_close(torch.cat(parts, dim=2), wanted, atol=1e-6, rtol=0)
