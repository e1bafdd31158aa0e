"""Compiled, scripted and exported networks, and other precisions: supported, or refused by name."""

from __future__ import annotations

import copy

import pytest
import torch
import toys
from torch import nn
from torch.utils.checkpoint import checkpoint

from stillwave.distill import METHODS, Distiller, DistillError
from stillwave.distill.method import resolve_method
from stillwave.schema import I2srfTfckdConfig

CONFIG = I2srfTfckdConfig(fusion_channels=8, pooled_size=4)
OF_ESTIMATES = ["output", "dfkd", "subband", "dispatch"]
SMALL = {"fusion_channels": 8, "pooled_size": 4}


class Net(nn.Module):
    """Frames of 16 samples through two layers and back."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.first = nn.Conv1d(1, width, 16, stride=16)
        self.second = nn.Conv1d(width, width, 3, padding=1)
        self.last = nn.ConvTranspose1d(width, 1, 16, stride=16)

    def forward(self, noisy):
        return self.last(self.middle(noisy.unsqueeze(1))).squeeze(1)

    def middle(self, x):
        return torch.tanh(self.second(torch.tanh(self.first(x))))


TAPS = {"middle": (["first:bct", "second:bct"], ["first:bct", "second:bct"])}
NOISY = torch.randn(3, 1600, generator=torch.Generator().manual_seed(0))


def nets(student=Net, teacher=Net):
    torch.manual_seed(0)
    return teacher(8), student(4)


def distiller(teacher, student, method=CONFIG, **options) -> Distiller:
    taps = TAPS if resolve_method(method).uses_features else None
    return Distiller(teacher, student, method, taps, example=NOISY, **options)


def gradients(d: Distiller, noisy=NOISY) -> tuple[dict[str, float], torch.Tensor]:
    losses = d(noisy, clean=noisy)[1]
    sum(losses.values()).backward()
    flat = torch.cat([p.grad.flatten() for p in d.student.parameters() if p.grad is not None])
    return {name: float(loss.detach()) for name, loss in losses.items()}, flat


def same(found, expected, tolerance=1e-5):
    assert found[0] == pytest.approx(expected[0], rel=tolerance)
    torch.testing.assert_close(found[1].double(), expected[1].double(), rtol=1e-3, atol=tolerance)


# --- student layers without gradient ------------------------------------------------------------------------


class Reentrant(Net):
    def middle(self, x):
        return checkpoint(super().middle, x, use_reentrant=True)


class Recomputed(Net):
    def middle(self, x):
        return checkpoint(super().middle, x, use_reentrant=False)


class Cut(Net):
    def middle(self, x):
        with torch.no_grad():
            return super().middle(x)


@pytest.mark.parametrize("student", [Reentrant, Cut])
@pytest.mark.filterwarnings("ignore:None of the inputs")
def test_a_tapped_layer_without_gradient_is_refused_at_the_first_step(student):
    d = distiller(*nets(student))
    with pytest.raises(DistillError, match=r"student's layer 'first:bct' .*gradient.*use_reentrant=False"):
        d(NOISY)


def test_a_frozen_layer_is_refused_at_the_first_step():
    teacher, student = nets()
    student.first.requires_grad_(False)
    d = distiller(teacher, student)
    with pytest.raises(DistillError, match=r"student's layer 'first:bct' .*gradient.*frozen"):
        d(NOISY)
    student.requires_grad_(False)
    with pytest.raises(DistillError, match=r"'first:bct' .*gradient"):
        d(NOISY)


@pytest.mark.parametrize("method", OF_ESTIMATES)
def test_an_estimate_without_gradient_is_refused_at_the_first_step(method):
    class Silent(Net):
        @torch.no_grad()
        def forward(self, noisy):
            return super().forward(noisy)

    d = distiller(*nets(Silent), method)
    with pytest.raises(DistillError, match=r"student's estimate .*gradient"):
        d(NOISY, clean=NOISY)


def test_layers_before_a_frozen_one_are_trained():
    teacher, student = nets()
    student.second.requires_grad_(False)
    distiller(teacher, student)(NOISY)


def test_checkpointed_layers_have_the_same_gradients():
    expected = gradients(distiller(*nets()))
    same(gradients(distiller(*nets(Recomputed))), expected)


@pytest.mark.parametrize("off", [torch.no_grad, torch.inference_mode])
def test_layers_are_not_checked_without_gradients(off):
    d = distiller(*nets(Cut))
    with off():
        assert d(NOISY)[1]
    d.student.requires_grad_(False)
    assert d.eval()(NOISY)[1]


# --- inference mode -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("method", [name for name in METHODS if name != "none"])
def test_validation_in_inference_mode_between_steps_changes_nothing(method):
    def losses(look: bool):
        teacher, student = toys.pair()
        given = CONFIG if method == "i2srf_tfckd" else method
        d = Distiller(teacher, student, given, example=NOISY).eval()
        if look:
            with torch.inference_mode():
                found = d(NOISY, clean=NOISY)[1]
                assert all(loss.isfinite() for loss in found.values())
        return gradients(d)

    try:
        expected = losses(look=False)
    except DistillError as error:
        pytest.skip(str(error))
    same(losses(look=True), expected, 1e-6)


def test_a_distiller_made_in_inference_mode_can_be_trained():
    teacher, student = nets()
    with torch.inference_mode():
        d = distiller(teacher, student)
    same(gradients(d), gradients(distiller(*nets())))


def test_a_student_made_in_inference_mode_is_refused():
    with torch.inference_mode():
        teacher, student = nets()
    with pytest.raises(DistillError, match=r"'first\.weight' .*torch\.inference_mode"):
        distiller(teacher, student)


# --- TorchScript and exported programs ----------------------------------------------------------------------

FIXED = {
    "script": torch.jit.script,
    "trace": lambda network: torch.jit.trace(network, NOISY),
    "freeze": lambda network: torch.jit.freeze(torch.jit.script(network.eval())),
    "export": lambda network: torch.export.export(network, (NOISY,)).module(),
}


def fixed(kind: str, network: nn.Module) -> nn.Module:
    made: nn.Module = FIXED[kind](network)
    return made


@pytest.mark.parametrize("kind", list(FIXED))
@pytest.mark.parametrize("method", OF_ESTIMATES)
@pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::UserWarning", "ignore::FutureWarning")
def test_an_exported_teacher_is_compared_by_its_estimate(kind, method):
    teacher, student = nets()
    expected = gradients(distiller(copy.deepcopy(teacher), copy.deepcopy(student), method))
    same(gradients(distiller(fixed(kind, teacher), student, method)), expected, 1e-4)


@pytest.mark.parametrize("kind", ["script", "trace"])
@pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::FutureWarning")
def test_layers_of_torchscript_are_refused_by_name(kind):
    teacher, student = nets()
    with pytest.raises(DistillError, match=r"teacher's layer 'first' .*TorchScript"):
        distiller(fixed(kind, teacher), student)
    teacher, student = nets()
    student.first = torch.jit.script(student.first)
    with pytest.raises(DistillError, match=r"student's layer 'first' .*TorchScript"):
        distiller(teacher, student)


# --- tuples and dicts ---------------------------------------------------------------------------------------


class Tuple(Net):
    def forward(self, noisy):
        return noisy.abs() > 1, super().forward(noisy)


class Dict(Net):
    def forward(self, noisy):
        return {"mask": None, "clean": super().forward(noisy)}


def clean(output):
    return output["clean"] if isinstance(output, dict) else output


@pytest.mark.parametrize("kind", [Tuple, Dict])
def test_networks_may_return_anything_if_layers_are_compared(kind):
    expected = gradients(distiller(*nets()))
    same(gradients(distiller(*nets(kind, kind))), expected)
    output, _ = distiller(*nets(kind, kind))(NOISY)
    assert type(output) in (tuple, dict)  # as the student returned it


@pytest.mark.parametrize("method", OF_ESTIMATES)
def test_the_estimate_in_a_dict_must_be_selected(method):
    with pytest.raises(DistillError, match=r"student .*dict.*estimate=lambda"):
        distiller(*nets(Dict), method)
    with pytest.raises(DistillError, match=r"teacher .*dict.*estimate=lambda"):
        distiller(*nets(Net, Dict), method)
    with pytest.raises(DistillError, match=r"^estimate=….*student a bool"):
        distiller(*nets(), method, estimate=lambda output: True)
    expected = gradients(distiller(*nets(), method))
    for pair in (nets(Dict, Dict), nets(Net, Dict), nets(Dict, Net)):
        same(gradients(distiller(*pair, method, estimate=clean)), expected)


# --- torch.compile ------------------------------------------------------------------------------------------


def compiled_whole(network):
    return torch.compile(network, backend="eager")


def compiled_in_place(network):
    network.compile(backend="eager")
    return network


def compiled_layer(network):
    network.second = torch.compile(network.second, backend="eager")
    return network


@pytest.mark.parametrize(
    ("way", "method"),
    [
        (compiled_whole, CONFIG),
        *(
            pytest.param(way, method, marks=pytest.mark.slow)
            for way, method in [
                (compiled_whole, "output"),
                (compiled_in_place, CONFIG),
                (compiled_in_place, "output"),
                (compiled_layer, CONFIG),
                (compiled_layer, "output"),
            ]
        ),
    ],
)
def test_compiled_networks_that_have_run_work(way, method):
    torch.compiler.reset()
    expected = gradients(distiller(*nets(), method))
    teacher, student = (way(network) for network in nets())
    teacher(NOISY), student(NOISY)
    d = distiller(teacher, student, method)
    same(gradients(d), expected)
    d.student.zero_grad()
    student(NOISY)
    same(gradients(d), expected)  # and a second time, after it has run by itself
    prefixed = {"middle": (["_orig_mod.first:bct"], ["first:bct"])}
    if way is compiled_whole and method is CONFIG:
        Distiller(teacher, student, CONFIG, prefixed, example=NOISY)(NOISY)


# --- float64 and other precisions ---------------------------------------------------------------------------


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
