"""Schedules of two losses: together, rising, or one after the other."""

import pytest
import torch
from toy import Toy, make_teacher, toy_recipe, train_toy

from stillwave import checkpoint
from stillwave.distill import DistillError
from stillwave.distill.schedule import LossSchedule, LossWeights, published_weight
from stillwave.errors import StillwaveError
from stillwave.schema import DistillConfig
from stillwave.training import run_log


def config(**options):
    return DistillConfig(teacher="t", **options)


def test_a_joint_schedule_uses_both_losses_throughout():
    plan = LossSchedule(config(), 10)
    assert [plan.weights(step) for step in range(10)] == [LossWeights(1.0, 1.0)] * 10
    assert [plan.span(step) for step in (0, 9)] == [(0, 10), (9, 10)]


def test_a_warm_up_rises_to_one():
    plan = LossSchedule(config(warmup=0.4), 10)
    assert [plan.weights(step).distillation for step in range(6)] == [0.25, 0.5, 0.75, 1.0, 1.0, 1.0]
    assert {plan.weights(step).enhancement for step in range(10)} == {1.0}


def test_two_steps_share_the_updates_and_each_has_its_own_learning_rates():
    plan = LossSchedule(config(schedule="two_step", first_step=0.3), 10)
    assert [plan.weights(step) for step in (0, 2, 3, 9)] == [(0, 1), (0, 1), (1, 0), (1, 0)]
    assert [plan.span(step) for step in (0, 2, 3, 9)] == [(0, 3), (2, 3), (0, 7), (6, 7)]


@pytest.mark.parametrize(("share", "steps", "second"), [(0.001, 10, 1), (0.999, 10, 9), (0.5, 1, 0)])
def test_each_of_two_steps_has_at_least_one_update(share, steps, second):
    assert LossSchedule(config(schedule="two_step", first_step=share), steps).second == second


def test_without_a_teacher_there_is_one_step():
    plan = LossSchedule(None, 10)
    assert plan.second == 0
    assert plan.span(4) == (4, 10)


def test_an_unpublished_weight_is_refused():
    assert published_weight(config(method="i2srf_tfckd")) == 1.0
    with pytest.raises(DistillError, match=r"^distill\.weight: .*'none'"):
        published_weight(config(method="none"))


TWO = (
    *("distill.schedule=two_step", "distill.first_step=0.5", "distill.balance_steps=2", "train.steps=8"),
    "distill.method=fitnets",  # has connectors, and is quick
)


@pytest.fixture
def distilled(tmp_path):
    teacher = make_teacher(tmp_path / "teacher")

    def run(name, *overrides, **options):
        train_toy(tmp_path / name, f"distill={{teacher: {teacher}}}", *overrides, **options)
        return tmp_path / name

    return run


@pytest.fixture(scope="module")
def two(tmp_path_factory):
    """A run of two steps that nothing cut."""
    folder = tmp_path_factory.mktemp("two")
    train_toy(folder / "run", f"distill={{teacher: {make_teacher(folder / 'teacher')}}}", *TWO)
    return folder / "run"


def tensors(run):
    return checkpoint.read_tensors(run / "checkpoints" / "step_00000008" / "training.safetensors")


def test_the_first_step_trains_on_distillation_alone_and_the_second_without_it(two):
    events = run_log.read(two)
    lines = [event for event in events if event["kind"] == "train"]
    assert ["lambda" in line for line in lines] == [True] * 4 + [False] * 4
    first, last = lines[1]["loss"], lines[-1]["loss"]
    parts = sum(value for name, value in first.items() if name.startswith("distill."))
    assert first["total"] == pytest.approx(lines[1]["lambda"] * parts)
    assert last["total"] == last["enhancement"]
    # Warm-up of two updates, twice: the learning rates of the second step restart.
    assert [line["lr"] for line in lines[:2]] == [line["lr"] for line in lines[4:6]]


def test_scores_of_the_first_step_do_not_count(two):
    validated = [e["step"] for e in run_log.read(two) if e["kind"] == "validation"]
    assert validated == [6, 8]


def test_the_optimiser_restarts(two):
    state = tensors(two)
    counts = {
        int(value) for name, value in state.items() if name.startswith("optimiser.") and name.endswith("step")
    }
    assert counts == {4}  # updates since the second step began; connectors have none


class Breaks(Toy):
    """Ends the run in the middle of an update."""

    last: int

    def __call__(self, epoch, index):
        if index > self.last:
            raise StillwaveError("the plug is pulled")
        return super().__call__(epoch, index)


@pytest.mark.parametrize("last", [5, 8, 12])  # before, at, and after the first update of the second step
def test_two_steps_resume_where_they_were(distilled, two, last):
    source = Breaks()
    object.__setattr__(source, "last", last)
    with pytest.raises(StillwaveError, match="plug"):
        distilled("cut", *TWO, source=source)
    whole, cut = tensors(two), tensors(distilled("cut", *TWO))
    assert whole.keys() == cut.keys()
    assert all(torch.equal(whole[name], cut[name]) for name in whole)


def test_none_is_bit_identical_to_training_without_a_teacher(distilled, tmp_path):
    none = distilled("none", "distill.method=none", "train.steps=8")
    train_toy(tmp_path / "plain", "train.steps=8")
    ours, plain = tensors(none), tensors(tmp_path / "plain")
    assert ours.keys() == plain.keys()
    assert all(torch.equal(ours[name], plain[name]) for name in ours)


def test_none_needs_no_teacher(tmp_path):
    train_toy(tmp_path / "none", "distill={teacher: nowhere, method: none}", "train.steps=2")
    assert toy_recipe("distill={teacher: nowhere, method: none}").distill is not None
