import shutil

import pytest
import torch
from toy import make_teacher, toy_recipe, train_toy

from stillwave.checkpoint import load
from stillwave.errors import CheckpointError
from stillwave.training.networks import build_networks


def test_training_starts_from_a_checkpoints_weights(tmp_path):
    place = make_teacher(tmp_path / "teacher")
    wanted = load(place)[0].state_dict()
    model = load(place)[1].model
    sizes = [f"model.channels={model.channels}", f"model.blocks={model.blocks}"]
    started = build_networks(toy_recipe(f"train.start_from={place}", *sizes), torch.zeros(2, 1600))
    afresh = build_networks(toy_recipe(*sizes), torch.zeros(2, 1600))
    assert all(torch.equal(value, wanted[key]) for key, value in started.student.state_dict().items())
    assert not all(torch.equal(value, wanted[key]) for key, value in afresh.student.state_dict().items())


def test_another_networks_weights_are_refused(tmp_path):
    place = make_teacher(tmp_path / "teacher")
    with pytest.raises(CheckpointError, match=r"^train\.start_from: .*model\."):
        build_networks(toy_recipe(f"train.start_from={place}", "model.blocks=3"), torch.zeros(2, 1600))


def test_a_missing_checkpoint_is_named(tmp_path):
    with pytest.raises(CheckpointError, match=r"^train\.start_from: .*nowhere: "):
        build_networks(toy_recipe(f"train.start_from={tmp_path / 'nowhere'}"), torch.zeros(2, 1600))


def test_a_run_is_resumed_without_the_weights_that_it_started_from(tmp_path):
    place = make_teacher(tmp_path / "teacher", channels=8, blocks=1)
    settings = ["optimiser.final=1", "train.validate_every=100", f"train.start_from={place}"]
    train_toy(tmp_path / "whole", "train.steps=4", *settings)
    train_toy(tmp_path / "cut", "train.steps=2", *settings)
    shutil.rmtree(place)
    train_toy(tmp_path / "cut", "train.steps=4", *settings)
    one, other = (load(tmp_path / name / "checkpoints/step_00000004")[0] for name in ("whole", "cut"))
    assert all(torch.equal(value, other.state_dict()[key]) for key, value in one.state_dict().items())
