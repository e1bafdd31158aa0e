"""FrameNet: shapes, convolutions by hand, batch statistics. Causality and streaming: test_causal_networks.py."""

import contextlib
import shutil

import pytest
import torch
from torch import nn

from stillwave.errors import RecipeError
from stillwave.models import FrameNet, build, conv_stage, kernels
from stillwave.models.conv_stage import convolve, stage
from stillwave.models.framenet import ChannelNorm, FrequencyMap
from stillwave.schema import PRESETS

needs_compiler = pytest.mark.skipif(shutil.which("cc") is None, reason="needs a C compiler")


def test_parameters():
    model = build(PRESETS["framenet-xs"])
    assert isinstance(model, FrameNet)
    assert model(torch.zeros(2, 1000)).shape == (2, 1000)


def test_convolution_with_three_taps_is_pytorchs():
    torch.manual_seed(0)
    x, weight = torch.randn(2, 3, 7, 5), torch.randn(3, 5, 4)
    wanted = nn.functional.conv1d(x.flatten(0, 1).transpose(1, 2), weight.permute(2, 1, 0), padding=1)
    found = convolve(x, weight)
    assert torch.allclose(found.flatten(0, 1).transpose(1, 2), wanted, atol=1e-5)


@needs_compiler
@pytest.mark.parametrize("residual", [False, True])
@pytest.mark.parametrize(("taps", "channels", "out"), [(3, 16, 16), (2, 12, 24), (3, 8, 8), (2, 8, 16)])
def test_the_kernel_agrees_with_pytorch(taps, channels, out, residual):
    if residual and (taps != 3 or channels != out):
        pytest.skip("a residual needs equal shapes")
    torch.manual_seed(0)
    x, weight = torch.randn(2, 3, 9, channels), torch.randn(taps, channels, out)
    direction = torch.randn(2, 3, 9 if taps == 3 else 8, out)
    found = []
    for kernel in (True, False):
        norm = ChannelNorm(out)
        nn.init.uniform_(norm.weight, 0.5, 2)
        nn.init.normal_(norm.bias, generator=torch.Generator().manual_seed(1))
        norm.weight.data = torch.linspace(0.5, 2, out)
        inputs = [x.clone().requires_grad_(channels % 8 == 0), weight.clone().requires_grad_()]
        with contextlib.nullcontext() if kernel else kernels.switched_off():
            assert conv_stage.usable(*inputs, norm) is kernel
            y = stage(*inputs, norm, residual)
        wanted = [t for t in (*inputs, norm.weight, norm.bias) if t.requires_grad]
        gradients = torch.autograd.grad((y * direction).sum(), wanted)
        found.append([y.detach(), *gradients, norm.running_mean, norm.running_var])
    for mine, theirs in zip(*found, strict=True):
        assert torch.allclose(mine, theirs, rtol=1e-4, atol=1e-5 * float(theirs.abs().max()))


@pytest.mark.parametrize("causal", [True, False])
def test_folded_norms_change_nothing(causal):
    torch.manual_seed(0)
    model = build(PRESETS["framenet-xs"].model_copy(update={"causal": causal})).train()
    for module in model.modules():
        if isinstance(module, ChannelNorm):
            nn.init.uniform_(module.weight, 0.5, 2)
            nn.init.normal_(module.bias)
            module.running_mean.normal_()
            module.running_var.uniform_(0.5, 2)
    noisy, model = 0.1 * torch.randn(2, 3000), model.eval()
    with torch.inference_mode():
        wanted = model(noisy)
        model.fold()
        assert torch.allclose(model(noisy), wanted, atol=1e-5 * float(wanted.abs().max()))


def test_places_begin_as_an_interpolation():
    along = FrequencyMap(64, 16)
    rising = torch.arange(64.0)[None, None, :, None]
    places = along(rising)[0, 0, :, 0]
    assert torch.allclose(places[1:-1], 4 * torch.arange(16.0)[1:-1] + 1.5, atol=1e-4)
    assert along.weight.sum(1).allclose(torch.ones(16))


def test_several_microphones_are_refused():
    config = PRESETS["framenet-xs"].model_copy(update={"microphones": 4})
    with pytest.raises(RecipeError, match=r"model\.microphones"):
        build(config)
