"""Whose a run folder is, and when it may be given to another recipe or made longer."""

import json
import threading

import pytest
import torch
from run_equality import assert_same_run, facts, timeless
from toy import Toy, make_teacher, toy_recipe, train_toy

from stillwave import checkpoint, recipe
from stillwave.errors import AudioError, RecipeError, StillwaveError
from stillwave.training import run, run_log, state


class Absent:
    """A source whose recordings are not there."""

    def __call__(self, epoch, index):
        raise AudioError("speech.wav: there is no such file")


def sessions(folder):
    return json.loads((folder / run.ENVIRONMENT).read_text())["sessions"]


def test_a_failed_start_does_not_claim_the_folder(tmp_path, capsys):
    folder = tmp_path / "run"
    with pytest.raises(StillwaveError):
        train_toy(folder, "data.train.speech=mistyped", source=Absent())
    train_toy(folder, "data.train.speech=right")
    assert "left no checkpoint; the run starts over" in capsys.readouterr().err
    assert recipe.load(folder / run.RECIPE).data.train.speech == "right"
    assert len(sessions(folder)) == 1
    train_toy(tmp_path / "alone", "data.train.speech=right")
    assert_same_run(tmp_path / "alone", folder)


def test_the_log_of_a_failed_start_is_removed(tmp_path):
    folder = tmp_path / "run"
    train_toy(folder, "train.steps=2", source=Toy(bad=(1,)))
    for place in (folder / run.CHECKPOINTS).iterdir():
        checkpoint_files = list(place.iterdir())
        for file in checkpoint_files:
            file.unlink()
        place.rmdir()
    assert (folder / run.BAD).exists()
    train_toy(folder, "seed=9", "train.steps=1")
    assert [event["step"] for event in run_log.read(folder) if event["kind"] == "train"] == [1]
    assert not (folder / run.BAD).exists()


def test_the_same_recipe_can_start_again(tmp_path, capsys):
    with pytest.raises(StillwaveError):
        train_toy(tmp_path / "run", source=Absent())
    train_toy(tmp_path / "run", "train.steps=1", "data.workers=0", resume=False)
    with pytest.raises(StillwaveError):
        train_toy(tmp_path / "other", source=Absent())
    capsys.readouterr()
    train_toy(tmp_path / "other")
    assert "starts over" not in capsys.readouterr().err
    assert len(sessions(tmp_path / "other")) == 2


def test_a_damaged_recipe_of_a_failed_start_is_replaced(tmp_path):
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / run.RECIPE).write_text("train: {stepz: 3}\n")
    train_toy(tmp_path / "run", "train.steps=1")
    assert recipe.load(tmp_path / "run" / run.RECIPE).train.steps == 1


def test_a_folder_with_other_content_is_not_changed(tmp_path):
    (tmp_path / "taxes.csv").write_text("1")
    with pytest.raises(RecipeError, match=r"'taxes\.csv'"):
        train_toy(tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["taxes.csv"]


def test_an_unwritable_folder_is_reported(tmp_path, monkeypatch):
    def refuse(*_):
        raise PermissionError(13, "Permission denied", str(tmp_path / "run"))

    monkeypatch.setattr(run, "write_text", refuse)
    with pytest.raises(StillwaveError, match=r"run: .*Permission denied"):
        train_toy(tmp_path / "run")


def test_two_threads_of_a_process_do_not_train_in_one_folder(tmp_path):
    inside, done = threading.Event(), threading.Event()

    class Waiting(Toy):
        def __call__(self, epoch, index):
            inside.set()
            assert done.wait(30)
            return super().__call__(epoch, index)

    with_source = {"source": Waiting()}
    thread = threading.Thread(target=train_toy, args=(tmp_path / "run", "train.steps=1"), kwargs=with_source)
    thread.start()
    assert inside.wait(30)
    with (
        pytest.raises(StillwaveError, match="run: another process"),
        run.opened(tmp_path / "run", toy_recipe("train.steps=1"), resume=True),
    ):
        pass
    done.set()
    thread.join()
    assert checkpoint.resolve(tmp_path / "run").name == "best_00000001"


# --- longer ------------------------------------------------------------------------------------------------


def weights(folder):
    return checkpoint.read_tensors(folder / checkpoint.WEIGHTS)


def assert_same_end(one, other):
    """Same last checkpoint, bit for bit, and same log. Earlier checkpoints name the recipe of their time."""
    last, same = (checkpoint.numbered(folder / "checkpoints", "step")[-1] for folder in (one, other))
    assert last.name == same.name
    for file in (checkpoint.WEIGHTS, state.TENSORS):
        a, b = checkpoint.read_tensors(last / file), checkpoint.read_tensors(same / file)
        assert a.keys() == b.keys()
        assert all(torch.equal(a[name], b[name]) for name in a)
    for file in (checkpoint.CARD, state.FACTS):
        assert facts(last / file) == facts(same / file)
    assert timeless(one) == timeless(other)


def rates(folder):
    return [event["lr"] for event in run_log.read(folder) if event["kind"] == "train"]


def test_more_steps_are_refused_after_the_end_of_the_schedule(tmp_path):
    train_toy(tmp_path / "run", "train.steps=4")
    with pytest.raises(RecipeError, match=r"run: .*train.steps is 8.*--extend .*update 4"):
        train_toy(tmp_path / "run", "train.steps=8")
    with pytest.raises(RecipeError, match=r"run: .*train\.steps is 2: .*train\.steps=4"):
        train_toy(tmp_path / "run", "train.steps=2")


def test_a_run_with_a_constant_rate_may_become_longer(tmp_path):
    settings = ["optimiser.final=1", "train.validate_every=100"]
    train_toy(tmp_path / "grown", "train.steps=3", *settings)
    train_toy(tmp_path / "grown", "train.steps=7", *settings)
    train_toy(tmp_path / "whole", "train.steps=7", *settings)
    last = "checkpoints/step_00000007"
    one, other = weights(tmp_path / "grown" / last), weights(tmp_path / "whole" / last)
    assert all(torch.equal(one[name], other[name]) for name in one)
    assert rates(tmp_path / "grown") == rates(tmp_path / "whole")
    assert recipe.load(tmp_path / "grown" / run.RECIPE).train.steps == 7


@pytest.mark.parametrize("cut", [None, 6])
def test_an_extended_run_is_the_run_with_that_restart(tmp_path, cut):
    """Deterministic, whether it is interrupted on the way or not."""
    train_toy(tmp_path / "run", "train.steps=4")
    longer = ["train.steps=9"]
    if cut:
        with pytest.raises(StillwaveError):
            train_toy(tmp_path / "run", *longer, source=Until(cut), extend=True)
    best = train_toy(tmp_path / "run", *longer, extend=True)
    train_toy(tmp_path / "whole", *longer, "optimiser.restarts=[4]")
    assert_same_end(tmp_path / "whole", tmp_path / "run")
    lr = 2e-3
    assert rates(tmp_path / "run")[:2] == [lr / 2, lr]
    assert rates(tmp_path / "run")[4:6] == [lr / 2, lr], "warm-up again"
    assert rates(tmp_path / "run")[3] == rates(tmp_path / "run")[-1] == pytest.approx(lr / 100)
    assert train_toy(tmp_path / "run", *longer) == best, "the restart belongs to the run"
    assert train_toy(tmp_path / "run", *longer, extend=True) == best


class Until(Toy):
    """A source that fails from the examples of a step on (two of them a step)."""

    def __init__(self, step):
        super().__init__()
        object.__setattr__(self, "step", step)

    def __call__(self, epoch, index):
        if index >= 2 * self.step:
            raise AudioError("gone.wav: there is no such file")
        return super().__call__(epoch, index)


def test_extending_twice_and_a_run_that_had_stopped_early(tmp_path):
    early = ["optimiser.lr=1e-12", "train.ema=0", "train.patience=1"]
    train_toy(tmp_path / "run", *early, "train.steps=20")
    stopped = checkpoint.numbered(tmp_path / "run" / "checkpoints", "step")[-1]
    assert train_toy(tmp_path / "run", *early, "train.steps=20", extend=True).parent == stopped.parent
    assert checkpoint.numbered(tmp_path / "run" / "checkpoints", "step")[-1] == stopped, (
        "not longer: left as it is"
    )
    train_toy(tmp_path / "run", *early, "train.steps=30", extend=True)
    assert checkpoint.numbered(tmp_path / "run" / "checkpoints", "step")[-1] > stopped
    train_toy(tmp_path / "run", *early, "train.steps=40", extend=True)
    assert recipe.load(tmp_path / "run" / run.RECIPE).optimiser.restarts == (20, 30)


def test_extending_a_two_step_run_stays_in_the_second_step(tmp_path):
    teacher = make_teacher(tmp_path / "teacher")
    settings = [f"distill.teacher={teacher}", "distill.schedule=two_step", "distill.method.fusion_channels=8"]
    train_toy(tmp_path / "run", *settings, "train.steps=4")
    train_toy(tmp_path / "run", *settings, "train.steps=6", extend=True)
    train_toy(tmp_path / "whole", *settings, "train.steps=6", "optimiser.restarts=[4]")
    assert_same_end(tmp_path / "whole", tmp_path / "run")


def test_restarts_ascend():
    for wrong in ("[3, 3]", "[6]", "[5, 2]"):
        with pytest.raises(RecipeError, match=r"optimiser\.restarts .*below train\.steps, got "):
            toy_recipe(f"optimiser.restarts={wrong}")


@pytest.mark.parametrize(
    ("settings", "depends"),
    [
        ([], True),
        (["optimiser.final=1"], False),
        (["optimiser.final=1", "distill.teacher=t"], False),
        (["optimiser.final=1", "distill.teacher=t", "distill.warmup=0.1"], True),
        (["optimiser.final=1", "distill.teacher=t", "distill.schedule=two_step"], True),
    ],
)
def test_what_depends_on_the_length_of_a_run(settings, depends):
    assert run.depends_on_length(toy_recipe(*settings)) is depends


def test_a_checkpoint_of_an_earlier_version_can_be_extended(tmp_path):
    train_toy(tmp_path / "run", "train.steps=2")
    facts = tmp_path / "run" / "checkpoints" / "step_00000002" / state.FACTS
    old = {
        k: v for k, v in json.loads(facts.read_text()).items() if k not in ("steps", "pending", "bad_files")
    }
    facts.write_text(json.dumps(old))
    train_toy(tmp_path / "run", "train.steps=4", extend=True)
    train_toy(tmp_path / "whole", "train.steps=4", "optimiser.restarts=[2]")
    assert_same_end(tmp_path / "whole", tmp_path / "run")


def test_the_differing_key_is_named_before_the_steps(tmp_path):
    now = toy_recipe("train.steps=8", "train.batch_size=1")
    with pytest.raises(RecipeError, match=r"train\.batch_size;.*recipe\.yaml"):
        run.continued(tmp_path, toy_recipe(), now, extend=True)
