import math

import pytest
import torch

from stillwave.distill import BatchInputs, DistillError, ModelOutputs, Shapes
from stillwave.distill.methods.subband import Subband
from stillwave.schema import LossConfig
from stillwave.schema.methods import SubbandConfig


def method(compression=0.3, **options):
    loss = LossConfig(compression=compression)
    return Subband.build(SubbandConfig(**options), Shapes(1, {}, {}, loss))


def losses(built, student, teacher, clean):
    return built.losses(ModelOutputs({}, student), ModelOutputs({}, teacher), BatchInputs(clean, clean))


def tone(hertz, level=0.1, samples=4000):
    return level * torch.sin(2 * math.pi * hertz * torch.arange(samples) / 16_000)[None]


def noise(seed, *size):
    return 0.1 * torch.randn(*size, generator=torch.Generator().manual_seed(seed))


def test_bands_share_all_bins():
    assert method().widths == [64, 64, 64, 65]
    assert method(bands=1).widths == [257]
    assert sum(method(bands=7).widths) == 257
    assert list(losses(method(bands=2), *noise(0, 3, 1, 600))) == ["band_1", "band_2"]


def test_hand_worked_value():
    """Without compression: student 0, teacher half the clean speech x. Each band has 1/4 · |D_k|/F, whatever x is."""
    clean = noise(1, 2, 4000)
    found = losses(method(compression=1.0, bands=4), 0 * clean, clean / 2, clean)
    for name, width in zip(found, (64, 64, 64, 65), strict=True):
        assert found[name].item() == pytest.approx(width / 257 / 4, rel=1e-4)


def test_compression_is_that_of_the_enhancement_loss():
    """Moduli to the power c: the teacher's half level is 2^−c of the clean one's, the student's is 0."""
    clean = noise(1, 1, 4000)
    found = losses(method(compression=0.5, bands=1), 0 * clean, clean / 2, clean)["band_1"]
    assert found.item() == pytest.approx(0.5, rel=0.02)  # (2^−½)²


def test_a_weak_band_counts_like_a_strong_one():
    strong, weak = tone(1000), tone(5000, 1e-2)
    clean = strong + weak
    built = method(compression=1.0, bands=2)
    low, high = (
        losses(built, student, clean, clean)[name]
        for student, name in ((clean - 0.5 * strong, "band_1"), (clean - 0.5 * weak, "band_2"))
    )
    assert low.item() == pytest.approx(0.25 * 128 / 257, rel=0.05)
    assert high.item() == pytest.approx(0.25 * 129 / 257, rel=0.05)


def test_the_gate_opens_where_the_teacher_is_better():
    clean = noise(2, 2, 4000)
    better, worse = clean + 0.1 * tone(1000), clean + 0.2 * tone(1000)
    student = torch.stack([better[0], worse[0]])
    teacher = torch.stack([worse[0], better[0]])
    clean = clean[:1].expand(2, -1)
    gated, free = method(bands=4), method(bands=4, gate=False)
    both, one = (losses(m, student, teacher, clean)["band_1"] for m in (free, gated))
    assert one.item() == pytest.approx(both.item() / 2, rel=1e-5), (
        "of two examples at one distance only the second"
    )
    assert losses(gated, student, student, clean)["band_1"] == 0


def test_equal_estimates_have_zero_loss():
    x, clean = noise(3, 2, 2, 4000)
    assert sum(losses(method(gate=False), x, x, clean).values()) == 0


def test_inverted_polarity_increases_the_loss():
    clean = noise(4, 1, 4000)
    found = losses(method(compression=1.0, bands=1), -clean, clean, clean)["band_1"]
    assert found.item() == pytest.approx(4, rel=1e-3)


@pytest.mark.parametrize("silent", ["student", "teacher", "clean", "all"])
@pytest.mark.parametrize("gate", [False, True])
def test_silence_is_finite(silent, gate):
    signals = {n: noise(i, 1, 2000) for i, n in enumerate(("student", "teacher", "clean"))}
    for name in signals if silent == "all" else [silent]:
        signals[name] = 0 * signals[name]
    signals["student"].requires_grad_()
    total = sum(losses(method(gate=gate), **signals).values())
    total.backward()
    assert total.isfinite()
    assert signals["student"].grad.isfinite().all()


def test_gradients_numerically():
    student, teacher, clean = noise(5, 3, 1, 300).double()
    built = method(gate=False, bands=3).double()

    def total(x):
        return sum(losses(built, x, teacher, clean).values())

    assert torch.autograd.gradcheck(total, (student.requires_grad_(),), fast_mode=True, atol=1e-4)


def test_clean_reference_is_required():
    x = noise(0, 1, 600)
    with pytest.raises(DistillError, match="pass clean="):
        method().losses(ModelOutputs({}, x), ModelOutputs({}, x), BatchInputs(x))


def test_of_several_microphones_the_first_counts():
    x, y, clean = noise(6, 3, 1, 2000)
    expected = losses(method(), x, y, clean)
    both = [torch.stack([s, noise(9, 1, 2000)], 1) for s in (x, y, clean)]
    assert losses(method(), *both) == expected
