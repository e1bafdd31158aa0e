import pytest
import torch
from small_scenes import losses, make, scene

from stillwave.distill import BatchInputs, DistillError, ModelOutputs
from stillwave.distill.method import Shapes
from stillwave.losses import EnhancementLoss
from stillwave.schema import LossConfig
from stillwave.schema.methods import OutputConfig
from stillwave.stft import Stft

TARGETS = ["spectrum", "mask", "waveform"]


def output(loss=None, **options):
    return make(OutputConfig(**options), Shapes(3, {}, {}, loss or LossConfig()))


def value(built, student, teacher, noisy=None, clean=None):
    given = BatchInputs(teacher if noisy is None else noisy, clean)
    (loss,) = built(ModelOutputs({}, student), ModelOutputs({}, teacher), given).values()
    return loss


def noise(seed, batch=3, samples=3000, level=0.1):
    return level * torch.randn(batch, samples, generator=torch.Generator().manual_seed(seed))


@pytest.mark.parametrize(
    "config",
    [LossConfig(), LossConfig(compressed=0.5, multi_resolution=2, compression=0.5, magnitude_share=0.2)],
)
def test_the_runs_own_loss_with_the_teacher_as_reference(config):
    student, teacher = noise(0), noise(1)
    expected = EnhancementLoss(config)(student, teacher)["total"]
    assert torch.equal(value(output(config), student, teacher), expected)


def test_waveforms_by_hand():
    student, teacher = torch.tensor([[1.0, 2.0], [0.0, 0.0]]), torch.tensor([[0.0, 4.0], [0.0, -1.0]])
    assert value(output(target="waveform"), student, teacher).item() == 1.0


def test_masks_by_hand():
    """Estimates that are multiples of a loud noisy signal have that factor for a mask, in every bin."""
    noisy = noise(0, level=30.0)
    built = output(target="mask")
    assert value(built, 0.5 * noisy, 0.8 * noisy, noisy).item() == pytest.approx(0.09, rel=1e-5)
    assert value(built, -0.5 * noisy, 0.5 * noisy, noisy).item() == pytest.approx(1.0, rel=1e-5)


def test_a_mask_is_the_estimate_over_the_noisy_spectrum():
    student, teacher, noisy = noise(0), noise(1), noise(2)
    x, t, y = (Stft().analyse(signal) for signal in (student, teacher, noisy))
    weights = (y.abs() ** 2 + 1e-8) ** 0.3
    masks = [s * y.conj() / (y.abs() ** 2 + 1e-8) for s in (x, t)]
    expected = ((masks[0] - masks[1]).abs() ** 2 * weights / weights.mean((1, 2), keepdim=True)).mean()
    torch.testing.assert_close(value(output(target="mask"), student, teacher, noisy), expected)


def test_masks_of_quiet_and_loud_examples_count_alike():
    noisy = noise(0, batch=2, level=1.0) * torch.tensor([[1.0], [30.0]])
    built = output(target="mask")
    for example in range(2):
        student = noisy.clone()
        student[example] *= 0.5
        assert value(built, student, noisy, noisy).item() == pytest.approx(0.25 / 2, rel=1e-3)


@pytest.mark.parametrize("target", TARGETS)
def test_minimum_is_at_equal_estimates(target):
    teacher, noisy = noise(1), noise(2)
    built = output(target=target)
    best = value(built, teacher, teacher, noisy)
    assert (best == 0) == (target != "spectrum")
    for seed in range(3):
        assert value(built, teacher + 0.01 * noise(seed + 5), teacher, noisy) > best


@pytest.mark.parametrize("target", TARGETS)
def test_loss_depends_on_polarity(target):
    teacher, noisy = noise(1), noise(2)
    built = output(target=target)
    assert value(built, -teacher, teacher, noisy) > value(built, teacher, teacher, noisy) + 0.1


@pytest.mark.parametrize("target", TARGETS)
def test_the_gate_excludes_examples_in_which_the_student_is_better(target):
    clean, noisy = noise(0), noise(5)
    near, far = clean + noise(1, level=0.02), clean + noise(2, level=0.08)
    student, teacher = torch.stack([near[0], far[1], far[2]]), torch.stack([far[0], near[1], near[2]])
    student.requires_grad_()
    gated = value(output(target=target, gate=True), student, teacher, noisy, clean)
    whole = value(output(target=target), student[1:], teacher[1:], noisy[1:])
    assert gated.item() == pytest.approx(2 / 3 * whole.item(), rel=1e-5)
    gated.backward()
    assert student.grad[0].abs().max() == 0
    assert student.grad[1:].abs().amax(1).min() > 0


def test_an_open_gate_has_no_effect():
    clean = noise(0)
    student, teacher = clean + noise(1), clean + 0.1 * noise(2)
    expected = value(output(), student, teacher)
    torch.testing.assert_close(value(output(gate=True), student, teacher, clean=clean), expected)


def test_a_closed_gate_has_zero_loss():
    clean = noise(0)
    student = (clean + 0.1 * noise(1)).requires_grad_()
    loss = value(output(gate=True), student, clean + noise(2), clean=clean)
    loss.backward()
    assert loss == 0
    assert student.grad.abs().max() == 0


def test_a_gate_passes_nan():
    clean = noise(0)
    student = clean.clone()
    student[1, 5] = torch.nan
    assert value(output(gate=True), student, clean + noise(2), clean=clean).isnan()


def test_a_gate_without_clean_speech_is_an_error():
    with pytest.raises(DistillError, match=r"gate: true .*clean="):
        value(output(gate=True), noise(0), noise(1))


def test_of_several_microphones_the_first_counts():
    student, teacher, noisy = noise(0), noise(1), noise(2)
    several = torch.stack([noisy, noise(3)], 1)
    built = output(target="mask")
    assert value(built, student, teacher, several) == value(built, student, teacher, noisy)
    assert value(built, student[:, None], teacher[:, None], several) == value(built, student, teacher, noisy)


@pytest.mark.parametrize("target", TARGETS)
def test_silent_noisy_speech(target):
    what = scene().each(torch.zeros_like).attached()
    found = losses(make(OutputConfig(target=target), what.shapes), what)
    sum(found.values()).backward()
    assert what.student.estimate.grad.isfinite().all()
