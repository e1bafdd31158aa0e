import math

import pytest
import torch
from torch import nn
from toys import Toy, pair

from stillwave.distill import Distiller
from stillwave.distill.method import Method, ModelOutputs
from stillwave.distill.selfcheck import examine
from stillwave.losses import EnhancementLoss
from stillwave.schema import DistillConfig, Frozen, LossConfig

NOISY = torch.randn(3, 1600, generator=torch.Generator().manual_seed(2))
CLEAN = torch.randn(3, 1600, generator=torch.Generator().manual_seed(3))


class Made(Method):
    """A method whose terms are functions of both networks and of its two connectors."""

    Config = Frozen

    def __init__(self, **terms):
        super().__init__()
        self.used, self.idle = nn.Linear(1, 1), nn.Linear(1, 1)
        self.terms = terms

    @classmethod
    def build(cls, config, shapes):
        raise NotImplementedError

    def losses(self, student: ModelOutputs, teacher: ModelOutputs, given):
        return {name: term(self, student, teacher) for name, term in self.terms.items()}


def distance(method, student, teacher):
    return (student.estimate - teacher.estimate).square().mean() * method.used.weight.square().sum()


def look(weight=1.0, **terms):
    teacher, student = pair()
    distiller = Distiller(teacher, student, Made(**terms), example=NOISY)
    config = DistillConfig(teacher="t", weight=weight, rho=0.3)
    return distiller, examine(distiller, EnhancementLoss(LossConfig()), config, NOISY, CLEAN)


def test_findings_match_the_losses():
    """A factor that is a power of two moves exponents only, so that every float32 sum is scaled exactly."""
    distiller, found = look(weight=2.0, one=distance, fourfold=lambda *of: 4 * distance(*of))
    one, fourfold = found.terms
    assert (one.name, fourfold.name) == ("one", "fourfold")
    assert one.value > 0
    assert one.gradient > 0
    assert fourfold.value == 4 * one.value
    assert fourfold.gradient == 4 * one.gradient
    assert (one.share, fourfold.share) == pytest.approx((0.2, 0.8))
    assert one.against == pytest.approx(2.0 * one.gradient / found.gradient)
    assert found.weight == 2.0
    assert found.parameters == {
        "student": sum(p.numel() for p in distiller.student.parameters()),
        "teacher": sum(p.numel() for p in distiller.teacher.parameters()),
        "connectors": 4,
    }


def test_balanced_weight_gives_the_ratio_rho():
    _, found = look(weight="balanced", only=distance)
    assert found.terms[0].against == pytest.approx(0.3)


def test_weights_and_gradients_are_unchanged():
    teacher, student = pair()
    before = {name: p.clone() for name, p in student.named_parameters()}
    distiller = Distiller(teacher, student, Made(one=distance), example=NOISY)
    examine(distiller, EnhancementLoss(LossConfig()), DistillConfig(teacher="t"), NOISY, CLEAN)
    assert all(torch.equal(before[name], p) and p.grad is None for name, p in student.named_parameters())


@pytest.mark.parametrize(
    ("weight", "terms", "warning"),
    [
        (1.0, {"nought": lambda *of: 0 * distance(*of)}, "nought: is 0 on this batch"),
        (
            1.0,
            {"lost": lambda method, *_: method.used.weight.square().sum()},
            "lost: has no gradient at the student",
        ),
        (1.0, {"bare": lambda *_: torch.tensor(2.0)}, "bare: has no gradient at the student"),
        (1.0, {"wild": lambda *of: distance(*of) * math.nan}, "wild: the loss or its gradient is not finite"),
        (1.0, {"steep": lambda _, s, t: (s.estimate - s.estimate).square().sum().sqrt()}, "steep: the loss"),
        (1e6, {"loud": distance}, "loud: dominates, at"),
        (
            1.0,
            {"all": lambda *of: 100 * distance(*of), "rest": distance},
            "all: dominates, with 99% of the gradient",
        ),
    ],
)
def test_problems_are_named(weight, terms, warning):
    _, found = look(weight, **terms)
    assert any(line.startswith(warning) for line in found.warnings), found.warnings


def test_no_warning_without_problems():
    _, found = look("balanced", one=distance, other=lambda *of: 2 * distance(*of))
    (warning,) = found.warnings
    assert warning.startswith(
        "3 tensors of the connectors have no gradient: used.bias, idle.weight, idle.bias"
    )
    assert found.unreached == ("used.bias", "idle.weight", "idle.bias")


def test_every_default_method_is_without_warning():
    teacher, _ = pair()
    for name in ("at", "sp", "output", "i2srf_tfckd"):
        distiller = Distiller(teacher, Toy(4, 1), name, example=NOISY)
        found = examine(
            distiller, EnhancementLoss(LossConfig()), DistillConfig(teacher="t", method=name), NOISY, CLEAN
        )
        assert found.terms, name
        assert not [line for line in found.warnings if "finite" in line or "no gradient at" in line], name
