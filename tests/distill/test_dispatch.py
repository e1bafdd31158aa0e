import math

import pytest
import torch

from stillwave.distill import BatchInputs, ModelOutputs, Shapes
from stillwave.distill.methods.dispatch import Dispatch, patches, selected_mean
from stillwave.schema.methods import DispatchConfig


def method(**options):
    return Dispatch.build(DispatchConfig(**options), Shapes(1, {}, {}))


def losses(built, student, teacher, clean):
    return built.losses(ModelOutputs({}, student), ModelOutputs({}, teacher), BatchInputs(clean, clean))


def noise(seed, *size):
    return 0.1 * torch.randn(*size, generator=torch.Generator().manual_seed(seed))


def magnitudes(waveform):
    window = torch.hann_window(512, dtype=waveform.dtype)
    return torch.stft(waveform, 512, 128, window=window, pad_mode="constant", return_complex=True).abs()


# --- patches -----------------------------------------------------------------------------------------------


def test_patches_are_means_over_bins_of_a_frame_and_the_last_is_filled_with_zeros():
    squares = torch.tensor([[1.0, 2.0], [3.0, 4.0], [6.0, 8.0]])[None]  # three bins, two frames
    assert patches(squares, 2).tolist() == [[2, 3, 3, 4]]
    assert patches(squares, 3)[0].tolist() == pytest.approx([10 / 3, 14 / 3])
    assert patches(torch.ones(2, 257, 5), 20).shape == (2, 13 * 5)


def selected(distance, student, teacher, keep=DispatchConfig().keep, require_positive=False):
    tensors = (torch.tensor([x]) for x in (distance, student, teacher))
    return selected_mean(*tensors, keep=keep, require_positive=require_positive).item()


def test_patch_selection_by_hand():
    """Leads 3, −1, 2, 0: of four patches κ = ½ keeps those of 3 and 2, so (1 + 4)/(4·½)."""
    distance, student, teacher = [1.0, 2.0, 4.0, 8.0], [4.0, 0.0, 2.0, 1.0], [1.0, 1.0, 0.0, 1.0]
    assert selected(distance, student, teacher) == 5 / 2
    assert selected(distance, student, teacher, keep=0.75) == pytest.approx(13 / 3), "0 is kept too"
    assert selected(distance, student, teacher, keep=1.0) == 15 / 4, "and −1, although it is negative"
    assert selected(distance, student, teacher, keep=0.1) == 1 / 0.4, "at least one"
    assert selected(distance, student, teacher, 1.0, require_positive=True) == 5 / 2, "mean of those above 0"
    assert selected(distance, teacher, teacher, 1.0, require_positive=True) == 0


def test_ties_with_the_last_are_kept():
    ones = [1.0, 1.0, 1.0, 1.0]
    assert selected(ones, ones, [0.0, 0.5, 0.5, 0.5], keep=0.25) == 1
    assert selected(ones, ones, [0.0, 0.5, 0.5, 0.5], keep=0.5) == 2, "four instead of two"


# --- the loss ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("size", [1, 257])
def test_keeping_all_is_a_plain_magnitude_distance(size):
    student, teacher, clean = noise(0, 3, 2, 3000)
    found = losses(method(keep=1.0, patch_bins=size), student, teacher, clean)["patches"]
    torch.testing.assert_close(found, (magnitudes(student) - magnitudes(teacher)).square().mean())


def test_only_frames_in_which_the_teacher_is_better_count():
    clean = noise(1, 1, 16_000)
    student = clean.clone()
    student[:, :4000] *= 2
    student[:, 12_000:] *= 1.5
    teacher = clean.clone()
    teacher[:, 12_000:] *= 3  # worse than the student there
    found = losses(method(keep=0.25, patch_bins=257), student, teacher, clean)["patches"]
    early = (magnitudes(student) - magnitudes(teacher)).square()[:, :, :40].sum() / (257 * 126 * 0.25)
    torch.testing.assert_close(found, early, rtol=0.02, atol=0)


def test_scales_select_and_count_by_region():
    student, teacher, clean = noise(2, 3, 2, 3000)
    found = losses(method(multi_scale=True, keep=1.0, scales=(16, 193)), student, teacher, clean)
    assert list(found) == ["fine", "coarse"]
    squares = (magnitudes(student) - magnitudes(teacher)).square()
    torch.testing.assert_close(found["fine"], 64 / 257 * squares[:, :64].mean())
    torch.testing.assert_close(found["coarse"], 193 / 257 * squares[:, 64:].mean())
    high = student + 0.1 * torch.sin(2 * math.pi * 6000 * torch.arange(3000) / 16_000)
    moved = losses(method(multi_scale=True, keep=1.0, scales=(16, 193)), high, teacher, clean)
    torch.testing.assert_close(moved["fine"], found["fine"], rtol=0.01, atol=0)
    assert moved["coarse"] > 1.5 * found["coarse"]


def test_loss_is_invariant_to_polarity_and_phase_unless_complex():
    student, teacher, clean = noise(3, 3, 2, 3000)
    plain, complex_ = method(keep=1.0), method(keep=1.0, distance="complex")
    for built, same in ((plain, True), (complex_, False)):
        one, other = (losses(built, x, teacher, clean)["patches"] for x in (student, -student))
        assert math.isclose(one, other, rel_tol=1e-5) is same


def test_equal_estimates_have_zero_loss():
    x, clean = noise(4, 2, 2, 3000)
    for options in ({}, {"multi_scale": True}, {"compression": 0.3}, {"distance": "complex"}):
        assert sum(losses(method(**options), x, x, clean).values()) == 0


def test_compression_reduces_the_effect_of_level():
    """At c = 1 the loss grows with the square of the level, at c = 0.3 with its 0.6th power."""
    student, teacher, clean = noise(5, 3, 2, 3000)
    for c in (1.0, 0.3):
        built = method(keep=1.0, compression=c)
        one, ten = (losses(built, k * student, k * teacher, k * clean)["patches"] for k in (1, 10))
        assert (ten / one).item() == pytest.approx(10 ** (2 * c), rel=0.02)


def test_the_fraction_of_positive_patches_is_recorded():
    x, clean = noise(6, 2, 1, 3000)
    built = method()
    losses(built, x, clean, clean)
    assert built.positive == 1
    losses(built, clean, x, clean)
    assert built.positive == 0


@pytest.mark.parametrize(
    "options", [{}, {"compression": 0.3}, {"distance": "complex"}, {"multi_scale": True}], ids=str
)
@pytest.mark.parametrize("silent", ["student", "teacher", "clean", "all"])
def test_silence_is_finite(silent, options):
    signals = {n: noise(i, 2, 2000) for i, n in enumerate(("student", "teacher", "clean"))}
    for name in signals if silent == "all" else [silent]:
        signals[name] = 0 * signals[name]
    signals["student"].requires_grad_()
    total = sum(losses(method(**options), **signals).values())
    total.backward()
    assert total.isfinite()
    assert signals["student"].grad.isfinite().all()


@pytest.mark.parametrize("options", [{}, {"distance": "complex", "compression": 0.5}], ids=str)
def test_gradients_numerically(options):
    student, teacher, clean = noise(7, 3, 1, 300).double()
    built = method(**options)

    def total(x):
        return sum(losses(built, x, teacher, clean).values())

    assert torch.autograd.gradcheck(total, (student.requires_grad_(),), fast_mode=True)
