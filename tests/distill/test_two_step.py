import math

import pytest
import torch
from small_scenes import losses, make, scene, twins
from torch.nn import functional as F  # noqa: N812

from stillwave.distill import METHODS, BatchInputs, DistillError, Layer, ModelOutputs, Shapes
from stillwave.distill.methods.two_step import TwoStep
from stillwave.distill.schedule import LossSchedule, LossWeights
from stillwave.schema import DistillConfig
from stillwave.schema.methods import TwoStepConfig

ALL = ("b", "bt", "bf", "btf", "st", "sf")


def built_for(what, **options):
    return make(TwoStepConfig(**options), what.shapes)


def value(student, teacher, kind, **options):
    layers = [{"only": (Layer("x", *f.shape[1:]),)} for f in (student, teacher)]
    built = TwoStep.build(TwoStepConfig(grams=(kind,), **options), Shapes(len(student), *layers))
    nothing = torch.empty(0)
    return built(*(ModelOutputs({"only": [f]}, nothing) for f in (student, teacher)), BatchInputs(nothing))[
        kind
    ].item()


OBLIQUE, SQUARE = torch.tensor([[1.0, 1.0], [0.0, 1.0], [0.0, 0.0]]), torch.tensor([[1.0, 0], [0, 2], [0, 0]])
"""Columns are two rows of three channels: (1,0,0), (1,1,0) of the student; orthogonal ones of the teacher."""


@pytest.mark.parametrize("kind", ["st", "sf", "b", "btf"])
def test_a_value_worked_by_hand(kind):
    """G = [[1,1],[1,2]] against I along whichever axis the two rows lie; see the test of SP."""
    layout = {"st": (0, 2, 1, 3), "sf": (0, 2, 3, 1), "b": (1, 2, 0, 3), "btf": (1, 2, 0, 3)}[kind]
    maps = [x.T[None, :, :, None].permute(*layout) for x in (OBLIQUE, SQUARE)]
    a, b = 1 / math.sqrt(2), 1 / math.sqrt(5)
    expected = ((1 - a) ** 2 + a**2 + b**2 + (1 - 2 * b) ** 2) / 4
    assert value(*maps, kind) == pytest.approx(expected, rel=1e-6)


@pytest.mark.parametrize("kind", ALL)
def test_identical_networks_have_zero_loss(kind):
    what = twins()
    built = built_for(what, grams=(kind,))
    assert losses(built, what)[kind] < 1e-12
    assert losses(built, what.changed(torch.abs, torch.clone))[kind] > 1e-3


def test_the_kind_b_is_sp():
    what = scene()
    pairs = losses(make("sp", what.shapes), what)
    only = {"middle": what.student.features["middle"]}, {"middle": what.teacher.features["middle"][-1:]}
    assert value(only[0]["middle"][0], only[1]["middle"][0], "b") == pytest.approx(pairs["middle_1"].item())


def test_the_default_needs_no_batch():
    """Inside examples: the value of a batch is the mean of those of its examples."""
    what = scene()
    built = make("two_step", what.shapes)
    whole = losses(built, what)
    assert list(whole) == ["st", "sf"]
    for kind, loss in whole.items():
        each = [losses(built, what.each(lambda x, b=b: x[b : b + 1]))[kind].item() for b in range(3)]
        assert loss.item() == pytest.approx(sum(each) / 3, rel=1e-5)
    assert built.skipped == 0


@pytest.mark.parametrize("kind", ["b", "bt", "bf", "btf"])
def test_a_single_example_is_counted(kind):
    built = built_for(scene(), grams=(kind, "st"))
    what = scene(1).attached()
    found = losses(built, what)
    assert found[kind] == 0
    assert found["st"] > 0
    found[kind].backward()
    assert built.skipped == 1


def test_losses_are_means_over_pairs():
    what = scene()
    found = losses(built_for(what, grams=("btf",)), what)["btf"].item()
    student, teacher = what.student.features, what.teacher.features
    pairs = [(student["encoder"][i], teacher["encoder"][i]) for i in range(3)]
    pairs += [(student["middle"][0], teacher["middle"][3])]
    pairs += [(student["decoder"][i], teacher["decoder"][i]) for i in range(2)]
    assert found == pytest.approx(sum(value(s, t, "btf") for s, t in pairs) / 6, rel=1e-5)


@pytest.mark.parametrize(("kind", "limit", "axis"), [("st", "most_bins", 3), ("sf", "most_frames", 2)])
def test_subsets_shift_until_all_are_used(kind, limit, axis):
    what = scene(frames=12).each(torch.Tensor.double)
    student, teacher = what.student.features["encoder"][0], what.teacher.features["encoder"][0]
    total = student.shape[axis]
    layers = [{"only": (Layer("x", *f.shape[1:]),)} for f in (student, teacher)]
    built = TwoStep.build(TwoStepConfig(grams=(kind,), **{limit: 1}), Shapes(3, *layers))
    nothing = torch.empty(0)
    sides = [ModelOutputs({"only": [f]}, nothing) for f in (student, teacher)]
    found = [built(*sides, BatchInputs(nothing))[kind].item() for _ in range(total)]
    one_by_one = [
        value(student.select(axis, n).unsqueeze(axis), teacher.select(axis, n).unsqueeze(axis), kind)
        for n in range(total)
    ]
    assert sorted(found) == pytest.approx(sorted(one_by_one))
    built.eval()
    assert built(*sides, BatchInputs(nothing))[kind] == built(*sides, BatchInputs(nothing))[kind]


@pytest.mark.parametrize("kind", ["bf", "btf", "st", "sf"])
def test_more_bins_are_averaged_to_fewer(kind):
    fine = torch.randn(3, 4, 5, 8, generator=torch.Generator().manual_seed(0))
    coarse = F.avg_pool2d(fine, (1, 2))
    assert value(fine, coarse, kind) < 1e-12
    assert value(coarse, fine, kind) < 1e-12


@pytest.mark.parametrize("kind", ALL)
def test_unequal_frames_are_refused_where_frames_are_compared(kind):
    layers = [{"deep": (Layer("x", 4, frames, 5),)} for frames in (7, 8)]
    if kind in ("b", "bf"):
        TwoStep.build(TwoStepConfig(grams=(kind,)), Shapes(3, *layers))
        return
    with pytest.raises(DistillError, match=f"two_step with {kind} .*'x' has 7 .*'x' has 8"):
        TwoStep.build(TwoStepConfig(grams=(kind,)), Shapes(3, *layers))


def test_the_schedule_is_distillation_then_the_enhancement_loss():
    assert METHODS["two_step"].published_weight is None
    plan = LossSchedule(DistillConfig(teacher="t", method="two_step"), steps=8)
    shares = [plan.weights(step) for step in range(8)]
    assert shares == [LossWeights(0.0, 1.0)] * 2 + [LossWeights(1.0, 0.0)] * 6


def test_no_kind_is_refused():
    with pytest.raises(ValueError, match=r"grams .*b, bt, bf, btf, st, sf"):
        TwoStepConfig(grams=())
