"""Networks with level-normalized input."""

from __future__ import annotations

import pytest
import torch
from streams import network, run, spectrum, whole

from stillwave.models.norms import LEVEL_FRAMES, RunningLevel
from stillwave.models.streaming import streaming

NORMALIZED = ["bsrnn level-normalized", "dpdcrn level-normalized"]


@pytest.mark.parametrize("name", NORMALIZED)
@pytest.mark.parametrize("gain", [1e-4, 1e-2, 1e3])
def test_the_output_scales_with_the_input(name, gain):
    model = network(name)
    x = spectrum(model)
    estimate, scaled = whole(model, x), whole(model, gain * x) / gain
    assert (scaled - estimate).abs().max() < 1e-4 * estimate.abs().max()


def test_without_normalisation_the_level_matters():
    model = network("bsrnn")
    x = spectrum(model)
    estimate, scaled = whole(model, x), whole(model, 1e-2 * x) / 1e-2
    assert (scaled - estimate).abs().max() > 1e-2 * estimate.abs().max()


@pytest.mark.parametrize("name", NORMALIZED)
def test_silence_does_not_change_the_running_level(name):
    """A pause of digital zeros, twice the memory long, changes nothing in how what follows is seen."""
    model = network(name)
    x = spectrum(model, 8)
    assert (whole(model, torch.zeros_like(x)) == 0).all()
    level = RunningLevel()
    pause = torch.zeros(1, 2, int(2 * LEVEL_FRAMES), 257)
    with streaming_level(level):
        level(x[:, :2])
        assert (level(pause) == 0).all()
        seen = level(x[:, :2, :1])
    assert seen.abs().mean() == pytest.approx(
        float((x[:, :2, :1] / mean_size(x[:, :2])).abs().mean()), rel=0.1
    )


def test_a_click_hardly_changes_the_running_level():
    """One frame 40 dB louder than the second before it: what follows is seen 6 dB softer at most."""
    x = torch.ones(1, 2, 126, 257)
    x[:, :, 62] *= 100**0.3  # compressed
    seen = RunningLevel()(x)[0, 0, :, 0]
    assert 0 < 20 / 0.3 * torch.log10(seen[61] / seen[63]) < 6


def test_the_running_level_adapts_within_half_a_second():
    """60 dB up after a second: within 5 dB of the level that it would have by itself."""
    x = torch.full((1, 2, 100, 257), 1e-3**0.3)
    x[:, :, 62:] = 1
    seen = RunningLevel()(x)[0, 0, :, 0]
    assert abs(20 / 0.3 * torch.log10(seen[93] * 2**0.5)) < 5


@pytest.mark.parametrize("name", NORMALIZED)
def test_streaming_equals_the_whole(name):
    model = network(name)
    x = spectrum(model, 40) * torch.linspace(0.001, 3, 40)[:, None]
    for sizes in ([1], [3, 5], [40]):
        torch.testing.assert_close(run(model, x, sizes), whole(model, x), atol=1e-4, rtol=0)


def test_the_running_level_is_stable_for_hours():
    """After an hour and a quarter of steady noise it is seen as after a second."""
    level = RunningLevel()
    x = torch.full((1, 2, 200, 3), 0.5**0.5)
    with streaming_level(level):
        for _ in range(1400):
            seen = level(x)
    torch.testing.assert_close(seen, x, atol=1e-4, rtol=0)


def mean_size(x):
    return x.square().sum(1).sqrt().mean()


def streaming_level(level):
    """The layer by itself, as a network that streams."""
    level.causal = True
    return streaming(level)
