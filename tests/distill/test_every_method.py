"""Requirements of all methods, tested for every registered method and variant."""

import copy

import pytest
import torch
import toys
from cases import (
    CASES,
    CONSTANT,
    FIXED_SIZE,
    FOR_SLOPES,
    ORDERED,
    SINGLE_PRECISION,
    SOME_SLOW,
    ZERO_FOR_TWINS,
    base,
    configured,
    listed,
    reached,
)
from small_scenes import Scene, inputs, losses, make, observed_with, scene, total, twins

from stillwave.distill import METHODS, Distiller, DistillError
from stillwave.distill.method import resolve_method
from stillwave.schema.methods import METHOD_CONFIGS

SIZES = [(1, 7), (2, 7), (3, 1), (1, 1), (5, 12)]


@pytest.fixture(params=CASES)
def case(request):
    return request.param


@pytest.fixture
def built(case):
    return make(configured(case), scene().shapes)


def settled(built, what):
    """The method after one batch, in evaluation mode."""
    losses(built, what)
    return built.eval()


def test_every_method_of_a_recipe_is_registered():
    assert set(METHODS) == set(METHOD_CONFIGS)
    assert all(cls.Config is METHOD_CONFIGS[name] for name, cls in METHODS.items())


def test_each_method_has_a_title():
    for name, cls in METHODS.items():
        assert 10 < len(cls.title) < 110, name
        assert "\n" not in cls.title


def test_none_has_no_loss():
    assert losses(make("none", scene().shapes), scene()) == {}


def test_losses_are_named_finite_single_precision_scalars(built):
    for what in (scene(), scene().each(torch.Tensor.bfloat16)):
        found = losses(built, what)
        assert found
        for name, loss in found.items():
            assert loss.shape == ()
            assert loss.dtype == torch.float32, name
            assert loss.isfinite(), name
            assert loss != 0, name


def test_inputs_are_not_modified(built):
    what = scene()
    before = what.each(torch.clone)
    losses(built, what)
    for mine, theirs in ((what.student, before.student), (what.teacher, before.teacher)):
        assert all(torch.equal(a, b) for a, b in zip(inputs(mine), inputs(theirs), strict=True))
    assert torch.equal(what.noisy, before.noisy)
    assert torch.equal(what.clean, before.clean)


def test_the_gradient_reaches_student_and_connectors_only(case, built):
    what = scene().attached()
    total(built, what).backward()
    assert all(x.grad is None for x in inputs(what.teacher))
    if not resolve_method(case).uses_features:
        assert what.student.estimate.grad.abs().max() > 0
        return
    found = {
        (name, i)
        for name, fs in what.student.features.items()
        for i, f in enumerate(fs)
        if f.grad is not None and f.grad.abs().max() > 0
    }
    assert found == reached(case)


def test_each_connector_gets_a_gradient(built):
    """Else it is no connector, and processes would wait for it."""
    total(built, scene().attached()).backward()
    assert [name for name, p in built.named_parameters() if p.requires_grad and p.grad is None] == []


@pytest.mark.parametrize("case", SOME_SLOW, indirect=True)
@pytest.mark.parametrize("about", ["inputs", "connectors"])
def test_the_gradient_is_the_slope(case, about):
    uncut = FOR_SLOPES.get(case, FOR_SLOPES.get(base(case), {}))
    built = make(configured(case, **uncut), scene().shapes)
    single = listed(case, SINGLE_PRECISION)
    h, tolerance = (1e-4, 2e-2) if single else (1e-7, 1e-3)
    what = scene() if single else scene().each(torch.Tensor.double)
    settled(built.to(what.noisy.dtype), what)
    what = what.attached()
    constant, _ = CONSTANT.get(base(case), ("none", ""))
    connectors = [
        p for name, p in built.named_parameters() if p.requires_grad and not name.startswith(constant)
    ]
    moved = inputs(what.student) if about == "inputs" else connectors
    if not moved:
        return
    gradients = torch.autograd.grad(total(built, what), moved, allow_unused=True)
    gradients = [torch.zeros_like(x) if g is None else g for x, g in zip(moved, gradients, strict=True)]
    size = torch.stack([g.square().sum() for g in gradients]).sum().sqrt()
    assert size > 0
    for seed in range(3):
        make_direction = torch.Generator().manual_seed(seed)
        along = [torch.randn(x.shape, generator=make_direction, dtype=x.dtype) for x in moved]
        slope = (_shifted(built, what, moved, along, h) - _shifted(built, what, moved, along, -h)) / (2 * h)
        expected = sum((g * d).sum() for g, d in zip(gradients, along, strict=True))
        assert abs(slope - expected) < tolerance * size


@torch.no_grad()
def _shifted(built, what, moved, along, by):
    for x, d in zip(moved, along, strict=True):
        x.add_(by * d)
    value = total(built, what)
    for x, d in zip(moved, along, strict=True):
        x.sub_(by * d)
    return value


@pytest.mark.parametrize("case", SOME_SLOW, indirect=True)
@pytest.mark.parametrize(("batch", "frames"), SIZES)
def test_any_batch_and_length_or_a_refusal(case, built, batch, frames):
    what = scene(batch, frames, samples=300 * frames).attached()
    if case in FIXED_SIZE:
        with pytest.raises(DistillError):
            losses(built, what)
        built = make(configured(case), what.shapes)
    for method in (built, make(configured(case), what.shapes)):
        _finite(method, what)


def _finite(built, what):
    found = losses(built, what)
    assert all(loss.isfinite() for loss in found.values())
    learning = [*inputs(what.student), *(p for p in built.parameters() if p.requires_grad)]
    gradients = torch.autograd.grad(sum(found.values()), learning, allow_unused=True)
    assert all(g.isfinite().all() for g in gradients if g is not None)


def _without_first_example(x):
    return torch.cat([torch.zeros_like(x[:1]), x[1:]])


def _without_a_frame(x):
    return x.index_fill(2, torch.tensor([2]), 0.0) if x.ndim == 4 else x


SILENCES = {
    "an example": lambda what: what.each(_without_first_example),
    "an example of the student": lambda what: what.changed(_without_first_example, torch.clone, torch.clone),
    "an example of the teacher": lambda what: what.changed(torch.clone, _without_first_example),
    "a frame": lambda what: what.each(_without_a_frame),
    "everything": lambda what: what.each(torch.zeros_like),
    "nearly everything": lambda what: what.each(lambda x: 1e-9 * x),
}


@pytest.mark.parametrize("case", SOME_SLOW, indirect=True)
@pytest.mark.parametrize("silence", SILENCES)
def test_finite_in_silence(built, silence):
    _finite(copy.deepcopy(built), SILENCES[silence](scene()).attached())
    if list(built.buffers()):  # running averages, which the first batch started
        losses(built, scene())
        _finite(built, SILENCES[silence](scene()).attached())


def test_nan_is_not_hidden(case, built):
    """NaN must propagate to the loss, so that training can detect it."""

    def broken(x):
        return x.index_fill(-1, torch.tensor([1]), torch.nan)

    assert total(built, scene().changed(broken, torch.clone, torch.clone)).isnan()


@pytest.mark.parametrize("case", SOME_SLOW, indirect=True)
def test_a_restored_method_continues_exactly(case, built):
    for seed in (0, 10):
        losses(built, scene(seed=seed))
    state = copy.deepcopy(built.state_dict())
    resumed = make(configured(case), scene().shapes, seed=1)
    resumed.load_state_dict(state)
    for seed in (20, 30):
        expected, found = losses(built, scene(seed=seed)), losses(resumed, scene(seed=seed))
        assert {name: loss.item() for name, loss in found.items()} == {
            name: loss.item() for name, loss in expected.items()
        }


@pytest.mark.parametrize("case", SOME_SLOW, indirect=True)
def test_the_order_of_examples_does_not_matter(case, built):
    what = scene()
    settled(built, what)
    expected = total(built, what)
    found = total(built, what.each(lambda x: x[[2, 0, 1]]))
    if case in ORDERED:
        assert abs(found - expected) > 1e-5 * expected.abs()
    else:
        torch.testing.assert_close(found, expected, rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize("case", SOME_SLOW, indirect=True)
def test_global_random_state_is_not_used(built):
    what = scene()
    settled(built, what)
    torch.manual_seed(3)
    expected = total(built, what)
    torch.manual_seed(4)
    before = torch.get_rng_state()
    assert total(built, what) == expected
    assert torch.equal(torch.get_rng_state(), before)


@pytest.mark.parametrize("case", [c for c in CASES if base(c) in ZERO_FOR_TWINS])
def test_identical_networks_have_zero_loss(case):
    what = twins()
    twin = make(configured(case), what.shapes)
    assert total(twin, what).abs() < 1e-6
    other = Scene(observed_with(what.student, lambda x: x.flip(0)), what.teacher, what.noisy, what.clean)
    assert total(twin, other) > 1e-4


@pytest.fixture
def distiller(case):
    teacher, student = toys.pair()
    torch.manual_seed(0)
    return Distiller(teacher, student, configured(case), example=torch.randn(4, 640))


def test_the_teacher_network_is_unchanged(distiller):
    before = copy.deepcopy(distiller.teacher.state_dict())
    distiller.train()
    distiller.teacher.train()
    distiller.student.eval()  # no dropout, so that two passes can be compared
    noisy, clean = torch.randn(2, 4, 640)
    method = copy.deepcopy(distiller.method)
    _, first = distiller(noisy, clean=clean)
    distiller.method = method
    distiller.teacher.eval()
    _, second = distiller(noisy, clean=clean)
    assert {name: loss.item() for name, loss in first.items()} == {
        name: loss.item() for name, loss in second.items()
    }
    sum(second.values()).backward()
    assert all(p.grad is None and not p.requires_grad for p in distiller.teacher.parameters())
    after = distiller.teacher.state_dict()
    assert all(torch.equal(value, after[name]) for name, value in before.items())
    assert any(p.grad is not None and p.grad.abs().max() > 0 for p in distiller.student.parameters())


@pytest.mark.parametrize("case", SOME_SLOW, indirect=True)
def test_the_exported_student_is_the_same(distiller):
    _, student = toys.pair()
    expected = student.state_dict()
    found = distiller.student.state_dict()
    assert expected.keys() == found.keys()
    assert all(torch.equal(value, found[name]) for name, value in expected.items())
