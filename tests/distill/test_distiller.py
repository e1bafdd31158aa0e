import copy
import pickle

import pytest
import torch
import toys
from rich.console import Console
from torch import nn

from stillwave.distill import METHODS, Distiller, DistillError, Method, register
from stillwave.schema import Frozen, I2srfTfckdConfig, TapSet

CONFIG = I2srfTfckdConfig(fusion_channels=8, pooled_size=4)


def distiller(**options):
    teacher, student = toys.pair()
    options.setdefault("method", CONFIG)
    return Distiller(teacher, student, example=torch.randn(2, 80), **options)


def test_returns_the_estimate_and_named_scalars():
    d = distiller()
    noisy = torch.randn(3, 96)  # another batch and length than the example
    d.student.eval()
    estimate, losses = d(noisy)
    torch.testing.assert_close(estimate, d.student(noisy))
    assert list(losses) == ["encoder", "middle", "decoder", "inter"]
    assert all(loss.shape == () and loss.requires_grad for loss in losses.values())


def test_the_teacher_is_unchanged():
    d = distiller()
    before = copy.deepcopy(d.teacher.state_dict())
    student = copy.deepcopy(d.student.state_dict())
    connectors = [p.detach().clone() for p in d.connectors()]
    optimiser = torch.optim.AdamW([*d.student.parameters(), *d.connectors()], lr=0.01)
    d.train()
    for _ in range(3):
        optimiser.zero_grad()
        estimate, losses = d(torch.randn(2, 80))
        (estimate.square().mean() + sum(losses.values())).backward()
        optimiser.step()
    after = d.teacher.state_dict()
    assert before.keys() == after.keys()
    assert all(torch.equal(before[k], after[k]) for k in before)  # batch statistics too
    assert all(p.grad is None and not p.requires_grad for p in d.teacher.parameters())
    assert all(not torch.equal(student[k], v) for k, v in d.student.state_dict().items())
    moved = [not torch.equal(a, b) for a, b in zip(connectors, d.connectors(), strict=True)]
    assert sum(moved) == len(moved)


def test_the_teacher_stays_in_evaluation_mode():
    d = distiller()
    d.train()
    assert d.student.training
    assert not any(m.training for m in d.teacher.modules())
    d.teacher.train()
    d(torch.randn(2, 80))
    assert not any(m.training for m in d.teacher.modules())


def test_the_teacher_is_not_trained_or_saved():
    d = distiller()
    assert {name.split(".")[0] for name in d.state_dict()} == {"student", "method"}
    theirs = {id(p) for p in d.teacher.parameters()}
    assert not theirs & {id(p) for p in d.parameters()}
    assert {id(p) for p in d.connectors()} | {id(p) for p in d.student.parameters()} == {
        id(p) for p in d.parameters()
    }


def test_frozen_teacher_fusers_are_saved_but_are_not_connectors():
    d = distiller(method=CONFIG.model_copy(update={"calibration": False}))
    assert any(name.startswith("method.fusers.teacher") for name in d.state_dict())
    assert all(p.requires_grad for p in d.connectors())
    assert sum(p.numel() for p in d.connectors()) < sum(p.numel() for p in d.method.parameters())


def test_the_teacher_follows_device_and_dtype():
    d = distiller()
    d.to(torch.float64)
    assert {p.dtype for p in d.teacher.parameters()} == {torch.float64}
    estimate, losses = d(torch.randn(2, 80, dtype=torch.float64))
    assert losses["inter"].dtype == estimate.dtype == torch.float64


def test_building_changes_neither_random_state_nor_the_student():
    teacher, student = toys.pair()
    state = copy.deepcopy(student.state_dict())
    Distiller(teacher, student, CONFIG, example=torch.randn(2, 80))
    assert all(torch.equal(v, student.state_dict()[k]) for k, v in state.items())
    assert student.training


def test_copies_and_pickles():
    d = distiller().eval()
    noisy = torch.randn(2, 80)
    expected = d(noisy)[1]
    for other in (copy.deepcopy(d), pickle.loads(pickle.dumps(d))):
        assert other.teacher is not d.teacher
        found = other(noisy)[1]
        assert all(torch.equal(found[name], loss) for name, loss in expected.items())


@pytest.mark.parametrize("taps", [{"deep": (["middle.0"], ["middle.1", "middle.2"])}, None])
def test_taps_as_tuples_or_from_a_recipe(taps):
    expected = {"deep"} if taps else {"encoder", "middle", "decoder"}
    assert set(distiller(taps=taps).sets) == expected
    if taps:
        recipe = {name: TapSet(student=s, teacher=t) for name, (s, t) in taps.items()}
        assert distiller(taps=recipe).sets == distiller(taps=taps).sets


def test_a_table_shows_the_taps():
    console = Console(width=160, record=True, quiet=False, file=open("/dev/null", "w"))  # noqa: SIM115, PTH123
    d = distiller()
    console.print(d.table())
    text = console.export_text()
    for word in (
        "encoder.0",
        "middle.2",
        "decoder.1",
        "4 × 5 × 8",
        "6 × 5 × 8",
        "1 × 5 × 16",
        "student layer",
    ):
        assert word in text
    assert f"{sum(p.numel() for p in d.connectors()):,} parameters" in text


def test_a_method_by_name_with_its_defaults():
    d = distiller(method="i2srf_tfckd")
    assert d.method.config == I2srfTfckdConfig()


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"method": "i2srf_tfkcd"}, "'i2srf_tfkcd'.*'i2srf_tfckd'"),
        ({"taps": {}}, "taps .*'encoder'"),
        ({"taps": {"deep": (["middle.0"], [])}}, "set 'deep' .*teacher layer"),
        ({"taps": {"deep": ("middle.0", "middle.1")}}, "set 'deep' .*two lists"),
        (
            {"taps": {"deep": (["middle.0"], ["midle.1"])}},
            "teacher .*'midle.1'.*'middle.1'",
        ),
        ({"taps": {"deep": (["middle.0"], ["encoder.0:bctd", "norm:btcd"])}}, "set 'deep' compares frames"),
    ],
)
def test_mismatches_are_refused_at_construction(options, message):
    with pytest.raises(DistillError, match=message):
        distiller(**options)


def test_networks_without_default_taps_are_refused():
    teacher, _ = toys.pair()
    with pytest.raises(DistillError, match=r"student \(Conv2d\) .*default_taps"):
        Distiller(teacher, nn.Conv2d(1, 1, 1), example=torch.randn(2, 80))


def test_default_taps_must_name_the_same_sets():
    teacher, student = toys.pair()
    student.default_taps = lambda: {"encoder": ["encoder.0"], "middle": ["middle.0"]}
    with pytest.raises(DistillError, match=r"student's .*'decoder'"):
        Distiller(teacher, student, CONFIG, example=torch.randn(2, 80))


def test_networks_that_share_parameters_are_refused():
    teacher, student = toys.pair()
    for other in (teacher, nn.Sequential(teacher.encoder[0])):
        with pytest.raises(DistillError, match="share parameters"):
            Distiller(teacher, other, example=torch.randn(2, 80))
    assert student.encoder[0].weight.requires_grad


def test_a_custom_method():
    class Nothing(Method):
        class Config(Frozen):
            name: str = "nothing"
            amount: float

        uses_estimate = True

        @classmethod
        def build(cls, config, shapes):
            return cls()

        def losses(self, student, teacher, given):
            return {"output": (student.estimate - teacher.estimate).abs().mean()}

    try:
        register("nothing")(Nothing)
        with pytest.raises(DistillError, match=r"'nothing' .*amount"):
            distiller(method="nothing")
        for method in (Nothing.Config(amount=1), Nothing()):
            d = distiller(method=method)
            assert list(d(torch.randn(2, 80))[1]) == ["output"]
            assert list(d.connectors()) == []
    finally:
        METHODS.pop("nothing")


def test_a_configuration_of_another_method_is_refused():
    class Other(Frozen):
        name: str = "i2srf_tfckd"

    with pytest.raises(DistillError, match="I2srfTfckdConfig"):
        distiller(method=Other())
