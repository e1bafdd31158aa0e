import math

import pytest
import torch
from small_scenes import losses, make, scene, twins

from stillwave.distill import BatchInputs, ModelOutputs
from stillwave.distill.method import Layer, Shapes
from stillwave.distill.methods.at import AttentionTransfer
from stillwave.schema.methods import AtConfig


def value(student, teacher, **options):
    sides = [{"only": [f]} for f in (student, teacher)]
    layers = [{"only": (Layer("x", *f.shape[1:]),)} for f in (student, teacher)]
    built = AttentionTransfer.build(AtConfig(**options), Shapes(len(student), *layers))
    nothing = torch.empty(0)
    (found,) = built(*(ModelOutputs(side, nothing) for side in sides), BatchInputs(nothing)).values()
    return found


def maps(energies, channels=3):
    """Features [B, C, T, D] whose mean square over channels is `energies` [B, T, D]; signs alternate."""
    signs = torch.tensor([(-1.0) ** c for c in range(channels)])[:, None, None]
    return signs * torch.tensor(energies).sqrt().unsqueeze(1)


STUDENT, TEACHER = [[[3.0, 4.0], [0.0, 0.0]]], [[[1.0, 0.0], [0.0, 0.0]]]
"""One example, 2 frames × 2 bins; by norm (0.6, 0.8, 0, 0) and (1, 0, 0, 0): difference (−0.4, 0.8, 0, 0)."""


def test_values_worked_by_hand():
    student, teacher = maps(STUDENT), maps(TEACHER, channels=5)
    assert value(student, teacher).item() == pytest.approx(0.8 / 4)
    assert value(student, teacher, reduction="sum_per_example").item() == pytest.approx(0.8)
    assert value(student, teacher, mode="paper").item() == pytest.approx(math.sqrt(0.8) / 2 / 4)
    summed = value(student, teacher, mode="paper", reduction="sum_per_example")
    assert summed.item() == pytest.approx(math.sqrt(0.8) / 2)


def test_the_power_by_hand():
    """Power 1: magnitudes 3 and 4 again, from energies 9 and 16."""
    student = maps([[[9.0, 16.0], [0.0, 0.0]]])
    assert value(student, maps(TEACHER), power=1).item() == pytest.approx(0.8 / 4)


@pytest.mark.parametrize(
    ("norm", "expected"), [("frame", 0.0), ("bin", (2 * (1 - 0.6) ** 2 + 2 * 0.8**2) / 4)]
)
def test_norms_by_hand(norm, expected):
    """Frames (3, 4) and (30, 40) are alike within themselves; bins (3, 30) and (4, 40) are too, but steep."""
    student = maps([[[3.0, 4.0], [30.0, 40.0]]])
    if norm == "frame":
        assert value(student, maps([[[6.0, 8.0], [0.3, 0.4]]]), norm=norm).item() == pytest.approx(
            0, abs=1e-12
        )
        return
    # Bins of the student are (3, 4) and (6, 8), those of the teacher (1, 0) twice.
    student, teacher = maps([[[3.0, 6.0], [4.0, 8.0]]]), maps([[[1.0, 5.0], [0.0, 0.0]]])
    assert value(student, teacher, norm=norm).item() == pytest.approx(expected)


def test_an_onset_dominates_the_example_norm_but_not_the_frame_norm():
    generator = torch.Generator().manual_seed(0)
    student, teacher = (torch.randn(1, 3, 8, 4, generator=generator) for _ in range(2))
    student[:, :, 0] *= 100
    teacher[:, :, 0] = student[:, :, 0]
    assert value(student, teacher, norm="example") < 1e-6
    assert value(student, teacher, norm="frame") > 1e-2


def test_silent_frames_are_excluded():
    student = maps([[[3.0, 4.0], [3e-11, 4e-11]]]).requires_grad_()
    teacher = maps([[[3.0, 4.0], [3.0, 4.0]]])
    loss = value(student, teacher, norm="frame")
    assert loss.item() == pytest.approx((0.36 + 0.64) / 4)
    loss.backward()
    assert student.grad.isfinite().all()
    assert student.grad[:, :, 1].abs().max() == 0


def test_larger_maps_are_averaged_to_smaller():
    small = torch.rand(2, 3, 4, 5, generator=torch.Generator().manual_seed(0))
    large = small.repeat_interleave(3, 2).repeat_interleave(2, 3)
    for mode in ("code", "paper"):
        assert value(small, large, mode=mode) < 1e-6
        assert value(large, small, mode=mode) < 1e-6
        assert value(large.flip(2), small, mode=mode) > 1e-4


@pytest.mark.parametrize("mode", ["code", "paper"])
@pytest.mark.parametrize("norm", ["example", "frame", "bin"])
def test_identical_networks_have_zero_loss_and_gradient(mode, norm):
    what = twins().attached()
    built = make(AtConfig(mode=mode, norm=norm), what.shapes)
    found = losses(built, what)
    assert list(found) == ["encoder_1", "encoder_2", "encoder_3", "middle_1", "decoder_1", "decoder_2"]
    total = sum(found.values())
    total.backward()
    assert total == 0
    assert all(f.grad is None or f.grad.abs().max() == 0 for fs in what.student.features.values() for f in fs)


def test_loss_is_invariant_to_signs_and_level():
    what = twins()
    built = make("at", what.shapes)
    turned = what.changed(lambda x: -3 * x, torch.clone)
    assert all(loss < 1e-12 for loss in losses(built, turned).values())
    assert all(loss > 1e-4 for loss in losses(make("at", scene().shapes), scene()).values())


def test_powers_below_one_are_refused():
    """|x|^p has an infinite slope at 0."""
    with pytest.raises(ValueError, match="power"):
        AtConfig(power=0.5)
