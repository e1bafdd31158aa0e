"""Networks in float64 and bfloat16, lazy networks, and examples and arguments that do not fit."""

from __future__ import annotations

import pytest
import torch
import toys
from plain_networks import CONFIG, NOISY, TAPS, Net, distiller, gradients, nets, same
from torch import nn

from stillwave.distill import METHODS, Distiller, DistillError


@pytest.mark.parametrize("method", [name for name in METHODS if name != "none"])
def test_networks_in_float64_work(method):
    def found(double: bool):
        torch.manual_seed(0)
        teacher, student = toys.pair()
        given = CONFIG if method == "i2srf_tfckd" else method
        noisy = NOISY.double() if double else NOISY
        if double:
            teacher, student = teacher.double(), student.double()
        return gradients(Distiller(teacher, student, given, example=noisy).eval(), noisy)

    try:
        expected = found(double=False)
    except DistillError as error:
        pytest.skip(str(error))
    same(found(double=True), expected, 1e-3)


@pytest.mark.parametrize("which", ["teacher", "student"])
def test_an_example_of_another_precision_is_refused_by_name(which):
    teacher, student = nets()
    (teacher if which == "teacher" else student).double()
    words = rf"{which} .*\(float32 \[3, 1600\].*float64\)"
    with pytest.raises(DistillError, match=words):
        distiller(teacher, student)


@pytest.mark.parametrize("method", [CONFIG, "output"])
def test_networks_of_two_precisions_are_refused_by_name(method):
    class Inside(Net):
        def forward(self, noisy):
            return super().forward(noisy.double())

    teacher, student = nets(teacher=Inside)
    what = "layer 'first:bct'" if method is CONFIG else "estimate"
    with pytest.raises(DistillError, match=f"teacher's {what} is float64.*student's {what} "):
        distiller(teacher.double(), student, method)


def test_networks_in_bfloat16_work():
    teacher, student = (network.bfloat16() for network in nets())
    d = Distiller(teacher, student, CONFIG, TAPS, example=NOISY.bfloat16())
    losses, flat = gradients(d, NOISY.bfloat16())
    assert losses
    assert flat.isfinite().all()
    assert flat.any()


def test_a_network_that_fails_on_the_example_is_one_sentence():
    teacher, student = nets()
    with pytest.raises(DistillError, match=r"student .*\(float32 \[3, 2, 1600\];"):
        Distiller(teacher, student, "output", example=torch.randn(3, 2, 1600))


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"example": NOISY.numpy()}, "^example: .*Tensor, got ndarray"),
        ({"example": None}, "^example: .*Tensor, got NoneType"),
        ({"teacher": "runs/teacher"}, "^teacher: .*Module, got str"),
        ({"taps": "first:bct"}, "^taps: .*, got str"),
        ({"taps": [("first", "first")]}, "^taps: .*, got list"),
    ],
)
def test_arguments_of_another_type_are_refused_by_name(change, words):
    teacher, student = nets()
    given = {"teacher": teacher, "student": student, "method": CONFIG, "taps": TAPS, "example": NOISY}
    with pytest.raises(DistillError, match=words):
        Distiller(**{**given, **change})


def test_the_input_is_needed_by_position():
    with pytest.raises(DistillError, match="positional"):
        distiller(*nets())(noisy=NOISY)


def test_lazy_modules_get_their_shapes_from_the_example():
    class Lazy(Net):
        def __init__(self, width):
            super().__init__(width)
            self.first = nn.LazyConv1d(width, 16, stride=16)

    losses, flat = gradients(distiller(*nets(Lazy)))
    assert losses
    assert flat.isfinite().all()
    with pytest.raises(DistillError, match=r"teacher's parameter 'first\.weight' .*lazy"):
        distiller(*nets(Net, Lazy))
