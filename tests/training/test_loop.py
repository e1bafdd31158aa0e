import json

import numpy as np
import pytest
import torch
from run_records import ONE, batch, events, weights
from toy import development, make_teacher, toy_recipe, train_toy

from stillwave import checkpoint, recipe
from stillwave.errors import CheckpointError, StillwaveError
from stillwave.evaluation.sdr import si_sdr
from stillwave.training import state
from stillwave.training.train_state import TrainState


def test_a_run_improves_and_writes_its_records(tmp_path):
    run = tmp_path / "run"
    best = train_toy(
        run, "train.steps=40", "optimiser.lr=1e-2", "train.validate_every=20", "train.checkpoint_every=20"
    )
    losses = [event["loss"]["total"] for event in events(run, "train")]
    assert np.mean(losses[-5:]) < 0.8 * np.mean(losses[:5])
    _, card = checkpoint.load(best)
    assert card.recipe == recipe.load(run / "recipe.yaml").model_dump(mode="json")
    assert card.versions["torch"] == torch.__version__
    (session,) = json.loads((run / "environment.json").read_text())["sessions"]
    assert {"started", "versions", "git", "machine", "command"} <= session.keys()
    first = events(run, "train")[0]
    assert {"loss", "lr", "grad_norm", "audio_per_second", "step"} <= first.keys()
    assert first["loss"]["total"] == first["loss"]["enhancement"]
    assert "lambda" not in first


def test_the_score_is_the_exported_networks_on_the_development_set(tmp_path):
    best = train_toy(tmp_path / "run")
    model, card = checkpoint.load(best)
    with torch.no_grad():
        estimates = [model(torch.from_numpy(item.noisy)[None])[0].numpy() for item in development()]
    scores = [si_sdr(i.clean, e) for i, e in zip(development(), estimates, strict=True)]
    assert card.scores["si_sdr"] == pytest.approx(np.mean(scores), abs=1e-4)


def test_same_seed_same_run_and_another_seed_another(tmp_path):
    one, two, other = (
        weights(train_toy(tmp_path / name, f"seed={seed}", "train.steps=2"))
        for name, seed in (("one", 1), ("two", 1), ("other", 2))
    )
    assert all(torch.equal(one[name], two[name]) for name in one)
    assert any(not torch.equal(one[name], other[name]) for name in one)


def test_the_global_random_state_is_kept(tmp_path):
    torch.manual_seed(5)
    before = torch.get_rng_state()
    train_toy(tmp_path / "run", "train.steps=1")
    assert torch.equal(before, torch.get_rng_state())


def test_a_student_starts_the_same_with_and_without_a_teacher(tmp_path):
    teacher = make_teacher(tmp_path / "teacher")
    alone = TrainState(toy_recipe(), ONE)
    taught = TrainState(toy_recipe(f"distill.teacher={teacher}"), ONE)
    other = TrainState(toy_recipe(f"distill.teacher={teacher}", "distill.method.fusion=mean"), ONE)
    for name, tensor in alone.student.state_dict().items():
        assert torch.equal(tensor, taught.student.state_dict()[name])
        assert torch.equal(tensor, other.student.state_dict()[name])
    assert len(taught.connectors) > 0


def test_connectors_learn_and_are_not_exported_and_the_teacher_stays(tmp_path):
    teacher = make_teacher(tmp_path / "teacher")
    before = (tmp_path / "teacher" / checkpoint.WEIGHTS).read_bytes()
    run = tmp_path / "run"
    settings = [f"distill.teacher={teacher}", "distill.method.fusion_channels=8", "train.steps=3"]
    fresh = TrainState(toy_recipe(*settings), ONE)
    best = train_toy(run, *settings)
    tensors = checkpoint.read_tensors(run / "checkpoints" / "step_00000003" / state.TENSORS)
    moved = [
        name
        for name, parameter in fresh.distiller.method.named_parameters()
        if parameter.requires_grad and not torch.equal(tensors[f"method.{name}"], parameter)
    ]
    assert len(moved) == len(fresh.connectors)
    assert weights(best).keys() == fresh.student.state_dict().keys()
    assert (tmp_path / "teacher" / checkpoint.WEIGHTS).read_bytes() == before
    assert checkpoint.load(best)[1].teacher == checkpoint.load(teacher)[1].sha256


def test_a_fixed_weight_of_distillation(tmp_path):
    teacher = make_teacher(tmp_path / "teacher")
    train_toy(tmp_path / "run", f"distill.teacher={teacher}", "distill.weight=0.5", "train.steps=1")
    (event,) = events(tmp_path / "run", "train")
    distances = sum(value for name, value in event["loss"].items() if name.startswith("distill."))
    assert event["lambda"] == 0.5
    assert event["loss"]["total"] == pytest.approx(event["loss"]["enhancement"] + 0.5 * distances, rel=1e-6)


def test_another_teacher_under_the_same_path_is_refused(tmp_path):
    teacher = make_teacher(tmp_path / "teacher")
    train_toy(tmp_path / "run", f"distill.teacher={teacher}", "train.steps=1")
    make_teacher(tmp_path / "teacher", seed=12)
    with pytest.raises(StillwaveError, match=r"run: .*another teacher"):
        train_toy(tmp_path / "run", f"distill.teacher={teacher}", "train.steps=1")


def test_a_missing_teacher_is_reported(tmp_path):
    with pytest.raises(CheckpointError, match="absent: no such folder"):
        train_toy(tmp_path / "run", f"distill.teacher={tmp_path / 'absent'}")


def test_accumulated_gradients_equal_those_of_the_batch(tmp_path):
    whole = train_toy(tmp_path / "whole", "train.batch_size=4", "train.steps=2")
    halves = train_toy(tmp_path / "halves", "train.batch_size=2", "train.accumulate=2", "train.steps=2")
    a, b = (events(tmp_path / name, "train") for name in ("whole", "halves"))
    for x, y in zip(a, b, strict=True):
        assert x["loss"]["total"] == pytest.approx(y["loss"]["total"], rel=1e-4)
        assert x["grad_norm"] == pytest.approx(y["grad_norm"], rel=1e-3)
    assert whole.name == halves.name


def test_with_ema_the_averaged_weights_are_exported_and_without_the_raw(tmp_path):
    for decay, same in ((0.9, False), (0, True)):
        run = tmp_path / str(decay)
        train_toy(run, f"train.ema={decay}", "train.steps=4")
        exported = weights(run / "checkpoints" / "step_00000004")
        raw = checkpoint.read_tensors(run / "checkpoints" / "step_00000004" / state.TENSORS)
        equal = [torch.equal(exported[name], raw[f"student.{name}"]) for name in exported]
        assert all(equal) is same


def test_gradients_are_clipped():
    trained = TrainState(toy_recipe("optimiser.clip_norm=0.01"), ONE)
    for step in range(2):
        result = trained.step([batch()], step)
        norms = [p.grad.norm() for p in trained.student.parameters() if p.grad is not None]
        assert result.values["grad_norm"] > 0.01
        assert torch.linalg.vector_norm(torch.stack(norms)).item() == pytest.approx(0.01, rel=1e-3)
