"""The network for 48 kHz: a network for 16 kHz below 8 kHz, gains above."""

from __future__ import annotations

import numpy as np
import pytest
import soxr
import torch
from pydantic import ValidationError

from stillwave import checkpoint
from stillwave.card import Card
from stillwave.errors import CheckpointError, RecipeError
from stillwave.models import BSRNN, FullBand, build
from stillwave.models.full_band import SHARED_BINS, band_shapes
from stillwave.schema import ModelConfig, Recipe
from stillwave.training.networks import build_networks

SMALL = {"channels": 8, "blocks": 1, "bands": 16, "causal": True, "norm": "frame", "compression": 0.3}
DATA = {"train": {"speech": "a", "noise": "b"}, "development": "c"}


def network(**options: object) -> FullBand:
    torch.manual_seed(0)
    model = build(ModelConfig.model_validate({"name": "fullband", **SMALL, **options})).eval()
    assert isinstance(model, FullBand)
    return model


def spectrum(frames: int = 12) -> torch.Tensor:
    return torch.randn(2, 2, frames, 769, generator=torch.Generator().manual_seed(1))


@pytest.mark.parametrize("level_normalized", [False, True])
def test_below_8_khz_it_is_the_network_for_16_khz(level_normalized):
    model, x = network(level_normalized=level_normalized), spectrum()
    with torch.no_grad():
        low = 3 * model.narrow.estimate(x[..., :SHARED_BINS] / 3)
        torch.testing.assert_close(model.estimate(x)[..., :SHARED_BINS], low)


def test_a_recording_without_treble_gives_the_output_of_the_network_for_16_khz():
    model = network()
    rng = np.random.default_rng(0)
    narrow = np.fft.irfft(np.where(np.arange(8_001) < 6_500, np.fft.rfft(rng.standard_normal(16_000)), 0))
    narrow = (0.1 * narrow).astype(np.float32)
    wide = soxr.resample(narrow, 16_000, 48_000, "VHQ")
    with torch.no_grad():
        at_16 = model.narrow(torch.from_numpy(narrow)[None])[0].numpy()
        at_48 = model(torch.from_numpy(wide)[None])[0].numpy()
    inner = slice(800, -800)  # the resampler rings at the ends
    error = (soxr.resample(at_48, 48_000, 16_000, "VHQ") - at_16)[inner]
    assert np.sqrt(np.mean(error**2)) < 1e-2 * np.sqrt(np.mean(at_16[inner] ** 2))


def test_above_8_khz_the_input_is_attenuated_and_nothing_is_added():
    model, x = network(), spectrum()
    x[..., 500:] = 0
    with torch.no_grad():
        model.correction.weight.normal_()
        y = model.estimate(x)
    real, imaginary = (y / x.where(x != 0, 1)).unbind(1)
    torch.testing.assert_close(real[..., SHARED_BINS:500], imaginary[..., SHARED_BINS:500])  # no phase
    assert (real[..., SHARED_BINS:500] > 0).all()
    assert (real[..., SHARED_BINS:500] < 1).all()
    assert not y[..., 500:].any()


def test_gains_change_smoothly_from_bin_to_bin():
    model, x = network(), spectrum()
    with torch.no_grad():
        model.correction.weight.normal_()
        gain = (model.estimate(x) / x)[:, 0, :, SHARED_BINS:]
    assert float(gain.diff(dim=2).abs().max()) < 0.12
    assert float(gain.max() - gain.min()) > 0.3


def test_before_training_all_bands_have_the_gain_from_5_to_7500_hz():
    model, x = network(), spectrum()
    with torch.no_grad():
        y = model.estimate(x)
    before, after = (s[..., 160:240].square().sum((1, 3)).sqrt() for s in (x, y))
    expected = (after / before)[:, None, :, None]
    torch.testing.assert_close((y / x)[..., SHARED_BINS:], expected.expand(2, 2, 12, 512), atol=3e-3, rtol=0)


@pytest.mark.parametrize("bands", [2, 16, 64])
def test_the_weights_of_the_bands_sum_to_one_and_none_is_empty(bands):
    shapes = band_shapes(512, bands)
    torch.testing.assert_close(shapes.sum(0), torch.ones(512))
    assert (shapes >= 0).all()
    assert (shapes.sum(1) > 1).all()
    places = (shapes * torch.arange(bands)[:, None]).sum(0)
    assert (places.diff() >= 0).all()


def test_only_the_gains_are_trained():
    model = network().train()
    model(torch.randn(1, 4_800)).square().sum().backward()
    trained = {name.split(".")[0] for name, p in model.named_parameters() if p.grad is not None}
    assert trained == {"inward", "time", "correction"}
    assert {name for name, p in model.named_parameters() if not p.requires_grad} == {
        f"narrow.{name}" for name, _ in model.narrow.named_parameters()
    }


def recipe(**sections: object) -> Recipe:
    return Recipe.model_validate({"model": {"name": "fullband", **SMALL}, "data": DATA, **sections})


def test_training_starts_from_a_network_for_16_khz(tmp_path):
    narrow = ModelConfig.model_validate({"name": "bsrnn", **SMALL})
    torch.manual_seed(7)
    source = BSRNN(narrow)
    checkpoint.save(tmp_path / "narrow", source, Card(model=narrow))
    example = torch.zeros(1, 96_000)
    found = build_networks(recipe(train={"start_from": str(tmp_path / "narrow")}), example).student
    fresh = build_networks(recipe(train={"start_from": "x"}), example, fresh=False).student
    for name, tensor in found.state_dict().items():
        wanted = source if name.startswith("narrow.") else fresh
        assert torch.equal(tensor, wanted.state_dict()[name.removeprefix("narrow.")])
    other = recipe(
        model={"name": "fullband", **SMALL, "blocks": 2}, train={"start_from": str(tmp_path / "narrow")}
    )
    with pytest.raises(CheckpointError, match=r"has model.blocks 1 and the recipe 2"):
        build_networks(other, example)


def test_what_is_not_possible_at_48_khz_is_refused():
    with pytest.raises(ValidationError, match=r"loss\.perceptual: is defined at 16000 Hz"):
        recipe(loss={"perceptual": 0.01})
    with pytest.raises(ValidationError, match="distill: needs a network at 16000 Hz"):
        recipe(distill={"teacher": "x"})
    with pytest.raises(ValidationError, match=r"train\.start_from: is required.*above 8 kHz"):
        recipe()
    with pytest.raises(RecipeError, match=r"model.causal"):
        build(ModelConfig(name="fullband", causal=False, norm="frame", channels=8))
