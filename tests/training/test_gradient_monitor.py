import math
import shutil

import pytest
import torch
from torchrun_process import torchrun
from toy import make_teacher, toy_recipe, train_toy
from toy_distillation import SMALL, distil

from stillwave.distill.method import METHODS, Method
from stillwave.distill.schedule import gradient_norm, norms
from stillwave.schema import Recipe
from stillwave.training import gradient_monitor, run_log
from stillwave.training.gradient_monitor import SILENT, GradientMonitor


@pytest.fixture
def teacher(tmp_path):
    return make_teacher(tmp_path / "teacher")


def seen(run) -> dict[int, dict[str, float]]:
    return {event["step"]: event["norm"] for event in run_log.read(run) if event["kind"] == "gradients"}


def test_norms_are_those_of_autograd_and_of_the_sum():
    a, b = (torch.nn.Parameter(torch.tensor(value)) for value in ([3.0, 1.0], [2.0]))
    loss, one, other = (a**2).sum(), 2 * a[0], 5 * b[0] - a[0]
    found = norms(loss, {"one": one, "other": other}, [a, b])
    assert found == pytest.approx(
        {
            "enhancement": math.hypot(6, 2),
            "distill.one": 2,
            "distill.other": math.hypot(5, 1),
            "distillation": math.hypot(1, 5),
        }
    )
    assert found["distillation"] == gradient_norm(one + other, [a, b])
    assert a.grad is None


def test_a_term_without_gradient_has_norm_zero():
    a = torch.nn.Parameter(torch.ones(2))
    found = norms(a.sum(), {"constant": torch.tensor(3.0), "real": a.sum()}, [a])
    assert found["distill.constant"] == 0
    assert found["distillation"] == pytest.approx(math.sqrt(2))
    assert norms(a.sum(), {}, [a])["distillation"] == 0


def test_steps_at_which_gradients_are_recorded():
    text = {"data": {"train": {"speech": "a", "noise": "b"}, "development": "c"}}
    recipe = Recipe.model_validate(
        {
            **text,
            "train": {"steps": 23, "validate_every": 10},
            "distill": {"teacher": "t", "balance_steps": 4},
        }
    )
    watch = GradientMonitor(recipe)
    assert [step + 1 for step in range(23) if watch.due(step)] == [1, 4, 10, 20, 23]


def test_a_run_logs_the_gradient_of_each_term(tmp_path, teacher):
    distil(tmp_path / "run", teacher, SMALL, "train.steps=7", "train.validate_every=5")
    found = seen(tmp_path / "run")
    assert list(found) == [1, 2, 3, 5, 7]
    terms = {f"distill.{name}" for name in ("encoder", "middle", "decoder", "inter")}
    for step, norm in found.items():
        wanted = {"enhancement", "distillation"}
        assert norm.keys() == (wanted if step == 2 else wanted | terms)
        assert all(value > 0 for value in norm.values())
    train = {event["step"]: event for event in run_log.read(tmp_path / "run") if event["kind"] == "train"}
    first = [found[step] for step in (1, 2, 3)]
    balanced = 0.7 * sum(n["enhancement"] for n in first) / sum(n["distillation"] for n in first)
    assert train[3]["lambda"] == pytest.approx(balanced), "λ is what the norms say"


@pytest.mark.parametrize("weight", ["balanced", pytest.param("0.5", marks=pytest.mark.slow)])
def test_recording_gradients_does_not_change_the_run(tmp_path, teacher, monkeypatch, weight):
    options = (SMALL, f"distill.weight={weight}", "train.accumulate=2", "train.steps=3")
    with_it = distil(tmp_path / "with", teacher, *options)
    monkeypatch.setattr(GradientMonitor, "due", lambda *_: False)
    without = distil(tmp_path / "without", teacher, *options)
    assert with_it == without
    assert len(seen(tmp_path / "with")[1]) == 6


def test_a_resumed_run_records_gradients_at_the_same_steps(tmp_path, teacher):
    whole = distil(tmp_path / "whole", teacher, "at", "train.steps=6", "train.checkpoint_every=4")
    assert whole
    last = sorted((tmp_path / "whole" / "checkpoints").glob("step_*"))[-1]
    shutil.copytree(tmp_path / "whole", tmp_path / "again")
    shutil.rmtree(tmp_path / "again" / "checkpoints" / last.name)
    distil(tmp_path / "again", teacher, "at", "train.steps=6", "train.checkpoint_every=4")
    assert seen(tmp_path / "again") == seen(tmp_path / "whole")


def test_without_a_teacher_no_gradients_are_recorded(tmp_path):
    train_toy(tmp_path / "run")
    assert seen(tmp_path / "run") == {}


def test_in_the_second_of_two_steps_no_gradients_are_recorded(tmp_path, teacher):
    distil(tmp_path / "run", teacher, "two_step", "distill.first_step=0.5")
    assert list(seen(tmp_path / "run")) == [1, 2]


@pytest.fixture
def mute(monkeypatch):
    """A method of two terms, of which one is 0 from the third update on."""

    class Mute(Method):
        Config = METHODS["at"].Config

        def __init__(self):
            super().__init__()
            self.calls = 0

        @classmethod
        def build(cls, config, shapes):
            return cls()

        def losses(self, student, teacher, given):
            self.calls += 1
            loss = student.estimate.float().pow(2).mean()
            return {"fades": loss * (self.calls <= 2), "stays": loss}

    monkeypatch.setitem(METHODS, "at", Mute)
    return Mute


def test_a_term_that_stays_at_zero_is_reported_once(tmp_path, teacher, mute, monkeypatch, capsys):
    monkeypatch.setattr(gradient_monitor, "SILENT", 4)
    distil(tmp_path / "run", teacher, "at", "train.steps=8", "train.validate_every=1000")
    printed = " ".join(capsys.readouterr().err.split())
    assert printed.count("step 6: distill.fades has been 0 for 4 updates") == 1
    assert "distill.stays" not in printed


def test_a_term_that_comes_back_is_not_silent():
    watch = GradientMonitor(toy_recipe())
    values = [0.0] * (SILENT - 1) + [0.1] + [0.0] * (SILENT - 1)
    assert not any(watch.silent({"distill.a": value, "enhancement": 0.0}) for value in values)
    assert watch.silent({"distill.a": 0.0}) == ["distill.a"]
    assert watch.silent({"distill.a": 0.0}) == []


@pytest.mark.slow
def test_processes_log_the_norms_of_the_global_batch(tmp_path, teacher):
    options = ["train.batch_size=4", "distill.balance_steps=2"]
    section = [f"distill.teacher={teacher}", f"distill.method={SMALL}"]
    train_toy(tmp_path / "one", *section, *options)
    done = torchrun(tmp_path / "two", *section, *options)
    assert done.returncode == 0, done.stderr
    one, two = seen(tmp_path / "one"), seen(tmp_path / "two")
    assert one.keys() == two.keys()
    assert two[1] == pytest.approx(one[1], rel=1e-4)
    for step, norm in one.items():  # the weights drift apart
        assert two[step] == pytest.approx(norm, rel=2e-2), step
