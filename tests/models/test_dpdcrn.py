"""DPDCRN as a denoiser: sizes, alignment, silence, scale, determinism."""

from __future__ import annotations

import re

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from stillwave.errors import RecipeError, StillwaveError
from stillwave.models import DPDCRN, PRESETS, build
from stillwave.schema import ModelConfig


def small(microphones: int = 1, blocks: int = 1, **keys: str) -> DPDCRN:
    torch.manual_seed(0)
    return DPDCRN(ModelConfig(channels=8, blocks=blocks, microphones=microphones, **keys))


def noise(*shape: int) -> torch.Tensor:
    return 0.1 * torch.randn(shape, generator=torch.Generator().manual_seed(0))


def test_one_microphone_is_masked_and_several_are_filtered_unless_a_recipe_says_otherwise() -> None:
    assert ModelConfig().output == ModelConfig(microphones=1).output == "mask"
    assert ModelConfig(microphones=2).output == "filters"
    assert ModelConfig(microphones=2, output="mask").output == "mask"
    assert ModelConfig(output="filters").output == "filters"


def parameters(config: ModelConfig) -> int:
    return sum(p.numel() for p in build(config).parameters())


@pytest.mark.parametrize(
    ("preset", "microphones", "count"),
    [
        ("dpdcrn-teacher", 1, 3_218_118),
        ("dpdcrn-teacher", 8, 3_223_494),
        ("dpdcrn-student", 1, 595_494),
        ("dpdcrn-student", 8, 598_182),
    ],
)
def test_presets_have_the_papers_sizes(preset: str, microphones: int, count: int) -> None:
    assert parameters(PRESETS[preset].model_copy(update={"microphones": microphones})) == count


@pytest.mark.parametrize(
    ("preset", "masked"),
    [
        ("dpdcrn-teacher-4ch", 3_220_422),
        ("dpdcrn-teacher-8ch", 3_223_494),
        ("dpdcrn-student-4ch", 596_646),
        ("dpdcrn-student-8ch", 598_182),
    ],
)
def test_presets_of_several_microphones_are_the_papers_but_for_the_head(preset: str, masked: int) -> None:
    config = PRESETS[preset]
    assert f"{config.microphones}ch" in preset
    assert parameters(config.model_copy(update={"output": "mask"})) == masked
    further = 2 * (config.microphones - 1)  # rows of the head: real and imaginary part of each further filter
    assert parameters(config) == masked + further * (3 * config.channels + 1)


def test_the_causal_preset_of_eight_microphones_is_the_one_of_one_microphone_with_more_inputs() -> None:
    several, one = PRESETS["dpdcrn-s-8ch"], PRESETS["dpdcrn-s"]
    assert several.model_copy(update={"microphones": 1, "output": "mask"}) == one
    assert several.causal
    assert several.microphones == 8
    assert parameters(several) == parameters(one) + 14 * (3 * 32) + 14 * (3 * 32 + 1)  # first stage, head


def test_an_unknown_network_names_the_nearest() -> None:
    with pytest.raises(RecipeError, match=r"model\.name: .*'dpcrn'.*'dpdcrn'"):
        build(ModelConfig(name="dpcrn"))


@settings(max_examples=15, deadline=None)
@given(st.integers(1, 2000), st.integers(1, 3))
def test_same_length_out_as_in(samples: int, batch: int) -> None:
    estimate = small().eval()(noise(batch, samples))
    assert estimate.shape == (batch, samples)
    assert torch.isfinite(estimate).all()


def test_one_frame_is_enough() -> None:
    assert small().estimate(torch.randn(2, 2, 1, 257)).shape == (2, 2, 1, 257)


@pytest.mark.parametrize("microphones", [1, 3])
def test_silence_in_exactly_silence_out(microphones: int) -> None:
    estimate = small(microphones)(torch.zeros(2, microphones, 1000))
    assert not estimate.any()


def test_gradients_on_silence_are_finite() -> None:
    model = small()
    noisy = torch.zeros(2, 1000, requires_grad=True)
    (model(noisy) - noise(2, 1000)).square().sum().backward()
    assert noisy.grad is not None
    for gradient in [noisy.grad, *(p.grad for p in model.parameters() if p.grad is not None)]:
        assert torch.isfinite(gradient).all()


def test_every_parameter_learns() -> None:
    """All of them are used in training, so that distributed training never waits for a gradient."""
    model = small(blocks=2)
    model(noise(2, 3000)).square().sum().backward()
    assert all(p.grad is not None for p in model.parameters())


def test_examples_of_a_batch_are_independent() -> None:
    model = small().eval()
    noisy = noise(3, 3000)
    for one, alone in zip(model(noisy), noisy, strict=True):
        torch.testing.assert_close(one, model(alone[None])[0], atol=1e-6, rtol=1e-4)


def test_the_output_level_follows_the_input_above_epsilon() -> None:
    """Scale: encoder biases are removed by the norms that follow; their ε of 1e-5 alone remembers the level.

    So estimate(a·x) → a·estimate(x) for input far above ε, and polarity does not carry over: the network sees
    −x as another signal (it has biases and PReLUs).
    """
    model = small().eval().double()
    loud = 1e3 * noise(1, 3000).double()
    twice = model(2 * loud)
    assert (twice - 2 * model(loud)).abs().max() < 1e-4 * twice.abs().max()
    inverted = model(-loud)
    assert (inverted + model(loud)).abs().max() > 1e-3 * inverted.abs().max()


def test_a_masked_spectrum_never_exceeds_the_noisy_one() -> None:
    model = small(microphones=2, output="mask").eval()
    spectrum = torch.randn(1, 4, 5, 257)
    reference = spectrum[:, [0, 2]]  # real and imaginary part of microphone 0
    assert (model.estimate(spectrum).norm(dim=1) <= reference.norm(dim=1) * (1 + 1e-6)).all()


def test_the_mask_multiplies_microphone_0() -> None:
    model = small(microphones=2, output="mask").eval()
    noisy = noise(1, 2, 2000)
    noisy[:, 0] = 0
    assert not model(noisy).any()


def test_waveform_and_spectrum_ways_agree() -> None:
    model = small(microphones=2).eval()
    noisy = noise(2, 2, 2000)
    spectrum = model.stft.analyse(noisy)
    estimate = model.estimate(torch.cat([spectrum.real, spectrum.imag], dim=1))
    expected = model.stft.synthesise(torch.complex(estimate[:, 0], estimate[:, 1]), 2000)
    torch.testing.assert_close(model(noisy), expected)


@pytest.mark.parametrize("blocks", [1, 3])
def test_taps_name_layers_whose_maps_have_the_papers_shapes(blocks: int) -> None:
    model = small(blocks=blocks)
    modules, shapes = dict(model.named_modules()), {}
    for name in (name for names in model.default_taps().values() for name in names):
        modules[name].register_forward_hook(lambda _m, _i, y, n=name: shapes.update({n: tuple(y.shape)}))
    model.estimate(torch.randn(2, 2, 4, 257))
    taps = model.default_taps()
    assert [shapes[n] for n in taps["encoder"]] == [(2, 8, 4, 129), (2, 8, 4, 64), (2, 8, 4, 64)]
    assert [shapes[n] for n in taps["middle"]] == [(2, 8, 4, 64)] * blocks
    assert [shapes[n] for n in taps["decoder"]] == [(2, 8, 4, 64), (2, 8, 4, 129), (2, 2, 4, 257)]


def test_training_repeats_bit_by_bit() -> None:
    def run() -> list[torch.Tensor]:
        model = small(blocks=2)
        optimiser = torch.optim.AdamW(model.parameters(), lr=1e-3)
        for _ in range(3):
            optimiser.zero_grad()
            model(noise(4, 8000)).square().mean().backward()
            optimiser.step()
        return [p.detach() for p in model.parameters()]

    assert all(torch.equal(a, b) for a, b in zip(run(), run(), strict=True))


class Spectra(torch.nn.Module):
    def __init__(self, model: DPDCRN) -> None:
        super().__init__()
        self.model = model

    def forward(self, spectrum: torch.Tensor) -> torch.Tensor:
        return self.model.estimate(spectrum)


def test_the_exported_network_agrees() -> None:
    """Export meets PyTorch's own modules only, not the fused norm, and gives the same estimate."""
    model, spectrum = small().eval(), torch.randn(1, 2, 6, 257)
    with torch.no_grad():
        program = torch.export.export(Spectra(model), (spectrum,))
        names = {str(node.target) for node in program.graph.nodes}
        assert any("instance_norm" in name for name in names)
        torch.testing.assert_close(program.module()(spectrum), model.estimate(spectrum), atol=1e-5, rtol=1e-4)


def test_bfloat16_autocast_gives_float32_estimates() -> None:
    model, noisy = small(), noise(2, 3000)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        estimate = model(noisy)
    assert estimate.dtype == torch.float32
    exact = model(noisy)
    assert (estimate - exact).norm() < 0.1 * exact.norm()
    estimate.square().sum().backward()
    assert all(torch.isfinite(p.grad).all() for p in model.parameters() if p.grad is not None)


@pytest.mark.parametrize(
    ("microphones", "shape"), [(1, (1000,)), (1, (2, 2, 1000)), (2, (2, 1000)), (2, (2, 3, 9))]
)
def test_waveforms_that_do_not_fit_are_refused(microphones: int, shape: tuple[int, ...]) -> None:
    with pytest.raises(StillwaveError, match="microphone"):
        small(microphones)(torch.zeros(shape))


@pytest.mark.parametrize("shape", [(1, 2, 5, 256), (1, 4, 5, 257), (2, 5, 257)])
def test_spectra_that_do_not_fit_are_refused(shape: tuple[int, ...]) -> None:
    with pytest.raises(StillwaveError, match=re.escape(f"[B, 2, T, 257], got {list(shape)}")):
        small().estimate(torch.zeros(shape))


def test_a_model_has_its_configuration() -> None:
    config = ModelConfig(channels=16, blocks=2, microphones=2)
    model = build(config)
    assert (model.config, model.microphones, model.sample_rate) == (config, 2, 16_000)


def test_filters_use_every_microphone_and_masks_the_first() -> None:
    """Silence at microphone 0 silences what is a mask on it; filters still use the others."""
    noisy = noise(1, 3, 3000)
    noisy[:, 0] = 0
    for output in ("mask", "filters"):
        config = small(3).config.model_copy(update={"output": output})
        torch.manual_seed(0)
        assert bool(build(config).eval()(noisy).any()) == (output == "filters")
