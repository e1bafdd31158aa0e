"""A run folder that is moved, removed, linked or damaged: nothing that was computed is lost."""

import shutil

import pytest
from toy import Toy, train_toy

from stillwave import checkpoint, recipe
from stillwave.errors import CheckpointError, StillwaveError
from stillwave.training import run

CONSTANT = ["optimiser.final=1", "train.validate_every=2", "train.checkpoint_every=2"]


class Meanwhile(Toy):
    """A source during whose seventh example something happens."""

    def __init__(self, happens):
        super().__init__()
        object.__setattr__(self, "happens", happens)

    def __call__(self, epoch, index):
        if index == 6:
            self.happens()
        return super().__call__(epoch, index)


def last(folder):
    return checkpoint.numbered(folder / run.CHECKPOINTS, "step")[-1].name


def test_a_folder_can_be_moved_and_linked_between_sessions(tmp_path):
    train_toy(tmp_path / "a", "train.steps=2", *CONSTANT)
    (tmp_path / "a").rename(tmp_path / "b")
    (tmp_path / "link").symlink_to(tmp_path / "b")
    train_toy(tmp_path / "link", "train.steps=3", *CONSTANT)
    assert last(tmp_path / "b") == "step_00000003"
    (tmp_path / "dangling").symlink_to(tmp_path / "nowhere")
    with pytest.raises(StillwaveError, match=r"dangling: .*broken link"):
        train_toy(tmp_path / "dangling", *CONSTANT)


@pytest.mark.parametrize("moved", [True, False])
def test_a_folder_deleted_during_training_is_created_again(tmp_path, moved):
    folder, away = tmp_path / "run", tmp_path / "away"
    source = Meanwhile((lambda: folder.rename(away)) if moved else (lambda: shutil.rmtree(folder)))
    with pytest.raises(StillwaveError, match=r"run: .*checkpoint of step 4"):
        train_toy(folder, "train.steps=6", *CONSTANT, source=source)
    assert last(folder) == "step_00000004"
    train_toy(folder, "train.steps=6", *CONSTANT)
    assert last(folder) == "step_00000006"
    assert recipe.load(folder / run.RECIPE).train.steps == 6
    if moved:
        train_toy(away, "train.steps=6", *CONSTANT)
        files = [place / "checkpoints/step_00000006" / checkpoint.WEIGHTS for place in (folder, away)]
        assert files[0].read_bytes() == files[1].read_bytes()


@pytest.mark.parametrize("text", ["[]", "{", '{"step": 4}'])
def test_a_run_without_a_complete_state_is_refused_and_keeps_its_weights(tmp_path, text, capsys):
    folder = tmp_path / "run"
    train_toy(folder, "train.steps=4", *CONSTANT)
    for place in checkpoint.numbered(folder / run.CHECKPOINTS, "step"):
        (place / "training.json").write_text(text)
    before = {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()}
    with pytest.raises(CheckpointError, match=r"step_00000002/training\.json: .*run/checkpoints "):
        train_toy(folder, "train.steps=6", *CONSTANT)
    assert {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()} == before
    assert "step_00000004/training.json: " in capsys.readouterr().err
