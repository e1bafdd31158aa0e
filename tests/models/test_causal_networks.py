"""Causal networks: output, size, complexity, and distillation from a non-causal teacher."""

from __future__ import annotations

import pytest
import torch
from streams import CAUSAL
from torch import Tensor
from torch.autograd import gradcheck

from stillwave.distill import Distiller
from stillwave.distill.taps import Taps
from stillwave.models import PRESETS, Denoiser, build
from stillwave.models.layers import compress
from stillwave.profiling.complexity import count_frame_macs
from stillwave.schema import ModelConfig


def noise(*shape: int, seed: int = 0, dtype: torch.dtype = torch.float64) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=dtype)


def preset(name: str) -> Denoiser:
    torch.manual_seed(0)
    return build(PRESETS[name]).eval()


class TestSense:
    @pytest.mark.parametrize("name", CAUSAL)
    def test_silence_stays_silent_and_level_and_length_are_kept(self, name: str) -> None:
        model = preset(name)
        shape = (1, 3000) if model.microphones == 1 else (1, model.microphones, 3000)
        noisy = 0.1 * noise(*shape, dtype=torch.float32)
        with torch.no_grad():
            assert not model(torch.zeros(shape)).any()
            estimate = model(noisy)
        assert estimate.shape == (1, 3000)
        if model.microphones == 1:  # filters for several microphones are not bounded
            assert estimate.square().mean() <= 1.5 * noisy.square().mean()  # a mask is at most 1
        assert estimate.abs().max() > 0

    @pytest.mark.parametrize("name", ["dpdcrn-xs", "bsrnn-xs"])
    @pytest.mark.parametrize("level", [1e-4, 1.0, 30.0])
    def test_any_level_gives_finite_numbers_of_that_level(self, name: str, level: float) -> None:
        with torch.no_grad():
            estimate = preset(name)(level * noise(1, 4000, dtype=torch.float32))
        assert torch.isfinite(estimate).all()
        assert 0 < float(estimate.square().mean().sqrt()) < 1.5 * level

    @pytest.mark.parametrize("name", ["dpdcrn-xs", "bsrnn-xs"])
    def test_the_order_of_a_batch_does_not_matter(self, name: str) -> None:
        model, batch = preset(name).double(), 0.1 * noise(4, 3000)
        order = [2, 0, 3, 1]
        with torch.no_grad():
            torch.testing.assert_close(model(batch)[order], model(batch[order]), atol=1e-12, rtol=0)

    def test_compression_keeps_the_phase_and_a_power_of_the_level(self) -> None:
        x = 10 * noise(1, 2, 3, 5)
        y = compress(x, 0.3)
        torch.testing.assert_close(torch.atan2(y[:, 1], y[:, 0]), torch.atan2(x[:, 1], x[:, 0]))
        torch.testing.assert_close(y.square().sum(1), x.square().sum(1) ** 0.3, atol=1e-6, rtol=1e-4)
        torch.testing.assert_close(compress(100 * x, 0.3), 100**0.3 * y, atol=1e-5, rtol=1e-5)
        assert compress(x, 1) is x

    def test_compression_of_several_microphones_is_each_ones_own(self) -> None:
        x = noise(1, 4, 2, 3)
        both = compress(x, 0.3)
        for m in range(2):
            torch.testing.assert_close(both[:, m::2], compress(x[:, m::2], 0.3))

    def test_its_gradient_at_silence(self) -> None:
        x = torch.zeros(1, 2, 2, 2, dtype=torch.float64, requires_grad=True)
        assert gradcheck(lambda s: compress(s, 0.3), (1e-3 * noise(1, 2, 2, 2)).requires_grad_())
        compress(x, 0.3).sum().backward()
        assert x.grad is not None
        assert torch.isfinite(x.grad).all()


@pytest.mark.parametrize(
    ("name", "parameters", "macs"),
    [
        ("dpdcrn-m", 595_494, 2390.1),
        ("dpdcrn-s", 150_294, 605.2),
        ("dpdcrn-xs", 6_794, 27.9),
        ("bsrnn-m", 246_146, 333.3),
        ("bsrnn-s", 125_506, 133.2),
        ("bsrnn-xs", 47_938, 32.9),
    ],
)
def test_complexity_of_presets(name: str, parameters: int, macs: float) -> None:
    """Pinned, so that a change of size is seen. MMAC a second of audio, as they stream."""
    model = preset(name)
    assert sum(p.numel() for p in model.parameters()) == parameters
    assert count_frame_macs(model) * 62.5 / 1e6 == pytest.approx(macs, abs=0.05)


@pytest.mark.parametrize("name", ["dpdcrn-xs", "bsrnn-xs"])
def test_the_smallest_presets_are_within_budget(name: str) -> None:
    model = preset(name)
    assert sum(p.numel() for p in model.parameters()) <= 60_000
    assert count_frame_macs(model) * 62.5 <= 35e6


@pytest.fixture(scope="module")
def teacher() -> Denoiser:
    torch.manual_seed(1)
    return build(ModelConfig(channels=16, blocks=2)).eval()


class TestDistillation:
    """A causal student and a non-causal teacher: frame t of one is frame t of the other."""

    IMPULSE = 20

    @pytest.mark.parametrize("name", ["dpdcrn-xs", "dpdcrn-s", "bsrnn-xs", "bsrnn-s"])
    def test_estimates_teach_every_parameter(self, name: str, teacher: Denoiser) -> None:
        student = preset(name)
        noisy = 0.1 * noise(2, 4000, dtype=torch.float32)
        distiller = Distiller(teacher, student, method="output", example=noisy)
        _, losses = distiller(noisy, clean=noisy)
        sum(losses.values()).backward()
        assert all(p.grad is not None and torch.isfinite(p.grad).all() for p in student.parameters())
        assert all(p.grad is None for p in teacher.parameters())

    @pytest.mark.parametrize(
        "method", ["i2srf_tfckd", "i2srf_tfckd-one-to-one", "fitnets", "at", "cosine", "sp"]
    )
    @pytest.mark.parametrize("name", ["dpdcrn-xs", "bsrnn-xs"])
    def test_methods_that_compare_layers_take_both(self, name: str, method: str, teacher: Denoiser) -> None:
        student = preset(name)
        noisy = 0.1 * noise(2, 4000, dtype=torch.float32)
        distiller = Distiller(teacher, student, method=method, example=noisy)
        _, losses = distiller(noisy, clean=noisy)
        total = sum(losses.values())
        assert isinstance(total, Tensor)
        assert torch.isfinite(total)
        total.backward()
        assert any(p.grad is not None and p.grad.any() for p in student.parameters())

    @pytest.mark.parametrize("name", ["dpdcrn-xs", "dpdcrn-s", "bsrnn-xs"])
    def test_an_impulse_meets_both_in_the_same_frame(self, name: str, teacher: Denoiser) -> None:
        """A click that frames 20 and 21 alone hold. No layer of the student changes before frame 20, and all do in it;
        the teacher's encoder, whose norms see everything, changes everywhere, but rises at frame 20. So no layer has
        to be shifted against another, and none is.
        """
        quiet = 1e-3 * noise(1, 41 * 256, dtype=torch.float32)
        click = quiet.clone()
        click[:, self.IMPULSE * 256 + 128] += 1
        student = preset(name)
        for taps in student.default_taps().values():
            for energy in frames_changed(student, taps, quiet, click).values():
                assert not energy[: self.IMPULSE].any()
                assert energy[self.IMPULSE] > 0
        for energy in frames_changed(teacher, teacher.default_taps()["encoder"][:2], quiet, click).values():
            assert int(energy.diff().argmax()) + 1 == self.IMPULSE
        frames = {
            layer.frames
            for network in (student, teacher)
            for taps in network.default_taps().values()
            for layer in Taps(network, taps).shapes(quiet).values()
        }
        assert frames == {42}


@torch.no_grad()
def frames_changed(network: Denoiser, taps: list[str], before: Tensor, after: Tensor) -> dict[str, Tensor]:
    """By how much each frame of each tapped layer changes."""
    observer, seen = Taps(network, taps), []
    for noisy in (before, after):
        with observer.record() as features:
            network(noisy)
        seen.append(features)
    return {tap: (seen[1][tap] - seen[0][tap]).abs().amax((0, 1, 3)) for tap in taps}
