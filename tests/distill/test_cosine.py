import math

import pytest
import torch
import toys
from small_scenes import Scene, losses, make, scene

from stillwave.distill import DistillError, Layer, ModelOutputs, Shapes
from stillwave.distill.methods.cosine import LatentCosine
from stillwave.schema.methods import CosineConfig

NOTHING = torch.empty(0)
OVER = ["frame", "position", "example"]


def of(student, teacher, name="middle"):
    return Scene(
        ModelOutputs({name: [student]}, NOTHING), ModelOutputs({name: [teacher]}, NOTHING), NOTHING, NOTHING
    )


def as_identity(built):
    with torch.no_grad():
        torch.nn.init.dirac_(built.expansion.weight)
    return built


def value(what, **options):
    (loss,) = losses(as_identity(make(CosineConfig(**options), what.shapes)), what).values()
    return loss


def frames(*rows):
    """One example of one bin: frames of three channels."""
    return torch.tensor(rows).T[None, :, :, None]


def test_values_worked_by_hand():
    """cos = 1/√2 and 0 by frame; over the example ⟨(1,0,0,0,2,0), (1,1,0,3,0,0)⟩/(√5·√11) = 1/√55."""
    what = of(frames([1.0, 0, 0], [0, 2.0, 0]), frames([1.0, 1.0, 0], [3.0, 0, 0]))
    half = math.sqrt(0.5)
    assert value(what, centre=False).item() == pytest.approx((1 - half + 1) / 2, rel=1e-6)
    assert value(what, centre=False, over="position").item() == pytest.approx((1 - half + 1) / 2, rel=1e-6)
    assert value(what, centre=False, over="example").item() == pytest.approx(1 - 1 / math.sqrt(55), rel=1e-6)


def test_centred_by_hand():
    """Means (2, 1, 0) and (1, 0, 1) leave ±(1, −1, 0) and ±(1, 0, 0): cos = 1/√2 in both frames."""
    what = of(frames([3.0, 0, 0], [1.0, 2.0, 0]), frames([2.0, 0, 1.0], [0, 0, 1.0]))
    assert value(what).item() == pytest.approx(1 - math.sqrt(0.5), rel=1e-6)


def test_frames_and_positions_differ_where_there_are_bins():
    what = of(*(torch.randn(2, 3, 5, 4, generator=torch.Generator().manual_seed(s)) for s in (0, 1)))
    found = {over: value(what, over=over).item() for over in OVER}
    assert len(set(found.values())) == 3
    student, teacher = (
        f.features["middle"][0] - f.features["middle"][0].mean((0, 2, 3), keepdim=True)
        for f in (what.student, what.teacher)
    )
    expected = 1 - torch.cosine_similarity(student, teacher, dim=1).mean()
    assert found["position"] == pytest.approx(expected.item(), rel=1e-5)


@pytest.mark.parametrize("over", OVER)
@pytest.mark.parametrize("centre", [True, False])
def test_identical_networks_have_zero_loss_at_any_level(over, centre):
    latent = torch.randn(2, 3, 5, 4, generator=torch.Generator().manual_seed(0))
    assert value(of(7 * latent, latent), over=over, centre=centre).abs() < 1e-6
    assert value(of(-latent, latent), over=over, centre=centre).item() == pytest.approx(2, abs=1e-5)


def test_the_expansion_has_no_bias():
    layers = [{"middle": (Layer("x", c, 5, 4),)} for c in (64, 128)]
    built = LatentCosine.build(CosineConfig(), Shapes(2, *layers))
    assert sum(p.numel() for p in built.parameters()) == 64 * 128


@pytest.mark.parametrize(("layers", "label"), [("middle", "middle_1"), ("encoder", "encoder_3")])
def test_the_latent_layer_is_selected(layers, label):
    assert list(losses(make(CosineConfig(layers=layers), scene().shapes), scene())) == [label]


def test_silent_frames_of_the_teacher_are_excluded():
    loud_student, loud_teacher = frames([1.0, 0, 0]), frames([1.0, 1.0, 0])
    alone = value(of(loud_student, loud_teacher), centre=False)
    for level, counted in ((0.9e-3, False), (1.1e-3, True)):
        teacher = torch.cat([loud_teacher, level * frames([1.0, -1.0, 0])], 2)
        both = value(of(torch.cat([loud_student, frames([0, 1.0, 0])], 2), teacher), centre=False)
        assert (both.item() == pytest.approx(alone.item())) is not counted


def test_silent_frames_of_the_student_have_no_gradient():
    student = frames([1.0, 0, 0], [0, 0, 0]).requires_grad_()
    loss = value(of(student, frames([1.0, 1.0, 0], [0, 1.0, 0])), centre=False)
    assert loss.item() == pytest.approx((1 - math.sqrt(0.5) + 1) / 2)
    loss.backward()
    assert student.grad.isfinite().all()
    assert student.grad[:, :, 1].abs().max() == 0
    assert student.grad[:, :, 0].abs().max() > 0


def test_a_constant_part_dominates_unless_centred():
    generator = torch.Generator().manual_seed(0)
    student, teacher = (10 + torch.randn(2, 3, 9, 4, generator=generator) for _ in range(2))
    assert value(of(student, teacher), centre=False) < 0.05
    assert value(of(student, teacher), centre=True) > 0.5


def test_means_run_over_batches_and_are_saved():
    what = of(frames([3.0, 0, 0], [1.0, 2.0, 0]), frames([2.0, 0, 1.0], [0, 0, 1.0]))
    built = as_identity(make("cosine", what.shapes))
    losses(built, what)
    losses(built, what.changed(lambda x: 3 * x, lambda x: 5 * x))
    state = built.state_dict()
    torch.testing.assert_close(state["student_mean.average"], 2 * torch.tensor([2.0, 1.0, 0.0]))
    torch.testing.assert_close(state["teacher_mean.average"], 3 * torch.tensor([1.0, 0.0, 1.0]))


def test_more_bins_are_averaged_to_fewer():
    fine = torch.randn(2, 3, 4, 8, generator=torch.Generator().manual_seed(0))
    coarse = fine.unflatten(3, (4, 2)).mean(4)
    assert value(of(fine, coarse)).abs() < 1e-6
    assert value(of(coarse, fine)).abs() < 1e-6


def test_unequal_frames_are_refused():
    with pytest.raises(DistillError, match=r"cosine .*'middle\.0' has 7 .*'middle\.3' has 8"):
        make("cosine", toys.shapes(toys.of_student(frames=7), toys.of_teacher(frames=8)))
