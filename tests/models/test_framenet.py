"""FrameNet: shapes, convolutions by hand, batch statistics. Causality and streaming: test_causal_networks.py."""

import pytest
import torch
from torch import nn

from stillwave.errors import RecipeError
from stillwave.models import FrameNet, build
from stillwave.models.framenet import Along, along_frequency
from stillwave.schema import PRESETS


def test_parameters():
    model = build(PRESETS["framenet-xs"])
    assert isinstance(model, FrameNet)
    assert model(torch.zeros(2, 1000)).shape == (2, 1000)


def test_convolution_with_three_taps_is_pytorchs():
    torch.manual_seed(0)
    x, weight = torch.randn(2, 3, 7, 5), torch.randn(3, 5, 4)
    wanted = nn.functional.conv1d(x.flatten(0, 1).transpose(1, 2), weight.permute(2, 1, 0), padding=1)
    found = along_frequency(x.requires_grad_(), weight)
    assert torch.allclose(found.flatten(0, 1).transpose(1, 2), wanted, atol=1e-5)


@pytest.mark.parametrize("taps", [2, 3])
def test_convolution_is_the_same_with_and_without_gradients(taps):
    torch.manual_seed(0)
    x, weight = torch.randn(2, 3, 7, 5), torch.randn(taps, 5, 4)
    with torch.no_grad():
        unfolded = along_frequency(x, weight)
    assert torch.allclose(along_frequency(x.requires_grad_(), weight), unfolded, atol=1e-5)


@pytest.mark.parametrize("taps", [2, 3])
def test_gradients_of_the_convolution(taps):
    torch.manual_seed(0)
    x = torch.randn(2, 3, 5, 4, dtype=torch.float64, requires_grad=True)
    weight = torch.randn(taps, 4, 3, dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(along_frequency, (x, weight))


def test_places_begin_as_an_interpolation():
    along = Along(64, 16)
    rising = torch.arange(64.0)[None, None, :, None]
    places = along(rising)[0, 0, :, 0]
    assert torch.allclose(places[1:-1], 4 * torch.arange(16.0)[1:-1] + 1.5, atol=1e-4)
    assert along.weight.sum(1).allclose(torch.ones(16))


def test_several_microphones_are_refused():
    config = PRESETS["framenet-xs"].model_copy(update={"microphones": 4})
    with pytest.raises(RecipeError, match=r"model\.microphones"):
        build(config)
