import json
import pickle

import pytest
import torch
from safetensors.torch import load_file, save_file

from stillwave import checkpoint
from stillwave.checkpoint import CARD, WEIGHTS, Card
from stillwave.errors import CheckpointError
from stillwave.files import sha256
from stillwave.models import build
from stillwave.schema import ModelConfig

SMALL = ModelConfig(channels=8, blocks=1)


@pytest.fixture(scope="module")
def model():
    torch.manual_seed(1)
    return build(SMALL)


@pytest.fixture
def saved(model, tmp_path):
    checkpoint.save(tmp_path / "small", model, Card(model=SMALL, step=7, scores={"si_sdr": 1.5}))
    return tmp_path / "small"


def edit_card(folder, **changes):
    card = json.loads((folder / CARD).read_text()) | changes
    (folder / CARD).write_text(json.dumps(card))


def edit_weights(folder, change):
    weights = load_file(folder / WEIGHTS)
    change(weights)
    save_file(weights, folder / WEIGHTS)
    edit_card(folder, sha256=sha256(folder / WEIGHTS))


def test_what_is_saved_is_loaded_bit_by_bit(model, saved):
    loaded, card = checkpoint.load(saved)
    assert (card.step, card.scores, card.model) == (7, {"si_sdr": 1.5}, SMALL)
    assert card.parameters == sum(p.numel() for p in model.parameters())
    assert not loaded.training
    for name, tensor in model.state_dict().items():
        assert torch.equal(loaded.state_dict()[name], tensor)


def test_loading_draws_no_random_numbers(saved):
    torch.manual_seed(5)
    before = torch.get_rng_state()
    checkpoint.load(saved)
    assert torch.equal(torch.get_rng_state(), before)


def test_saving_again_replaces_the_whole_folder(model, saved):
    (saved / "left-over").write_text("x")
    checkpoint.save(saved, model, Card(model=SMALL, step=8))
    assert checkpoint.load(saved)[1].step == 8
    assert {p.name for p in saved.parent.iterdir()} == {"small"}
    assert {p.name for p in saved.iterdir()} == {WEIGHTS, CARD}


def test_tensors_that_share_memory_are_saved(tmp_path):
    both = torch.arange(6.0)
    checkpoint.write_tensors(tmp_path / "t.safetensors", {"a": both, "b": both[:3], "c": both.view(2, 3).T})
    back = checkpoint.read_tensors(tmp_path / "t.safetensors")
    assert back["c"].tolist() == [[0, 3], [1, 4], [2, 5]]


def _truncate(folder):
    data = (folder / WEIGHTS).read_bytes()
    (folder / WEIGHTS).write_bytes(data[: len(data) // 2])


def _flip_a_bit(folder):
    data = bytearray((folder / WEIGHTS).read_bytes())
    data[-1] ^= 1
    (folder / WEIGHTS).write_bytes(bytes(data))


def _drop(weights):
    weights.pop(sorted(weights)[0])


def _reshape(weights):
    name = sorted(weights)[0]
    weights[name] = weights[name][None]


def _add(weights):
    weights["stowaway"] = torch.zeros(1)


def _poison(weights):
    next(iter(weights.values())).view(-1)[0] = float("nan")


@pytest.mark.parametrize(
    ("damage", "words"),
    [
        (_truncate, "weights.safetensors: .*cut short"),
        (_flip_a_bit, "weights.safetensors: .*card"),
        (lambda f: (f / WEIGHTS).unlink(), "weights.safetensors: .*exist"),
        (lambda f: (f / CARD).unlink(), "small: has no card.json"),
        (lambda f: (f / CARD).write_text("{"), "card.json: .*line 1 column 2"),
        (lambda f: (f / CARD).write_text("[]"), "card.json: .*JSON object"),
        (lambda f: edit_card(f, format=99), "card.json: .*format 99.* 1;"),
        (lambda f: edit_card(f, model={"name": "nosuch"}), "card.json: model.name: .*'nosuch'"),
        (lambda f: edit_card(f, model={"channels": 12}), "card.json: model.channels"),
        (lambda f: edit_card(f, model={"channels": 16}), "the network of its card has"),
        (lambda f: edit_weights(f, _drop), "has no '"),
        (lambda f: edit_weights(f, _reshape), "the network of its card has"),
        (lambda f: edit_weights(f, _add), "contains 'stowaway'"),
        (lambda f: edit_weights(f, _poison), "'decoder.*' .*NaN"),
    ],
)
def test_a_damaged_checkpoint_is_reported(saved, damage, words):
    damage(saved)
    with pytest.raises(CheckpointError, match=words) as caught:
        checkpoint.load(saved)
    assert "\n" not in str(caught.value)
    assert "small" in str(caught.value), "names the file"


class Bomb:
    def __reduce__(self):
        return (exec, ("raise SystemExit('unpickled!')",))


def test_pickles_are_refused_without_unpickling(tmp_path):
    old, new = tmp_path / "old.pt", tmp_path / "new.pt"
    old.write_bytes(pickle.dumps(Bomb()))
    torch.save({"w": torch.zeros(1)}, new)
    for file in (old, new):
        with pytest.raises(CheckpointError, match=rf"{file.name}: .*pickle"):
            checkpoint.load(file)


def test_a_pickle_named_as_safetensors_is_refused(saved):
    (saved / WEIGHTS).write_bytes(pickle.dumps(Bomb()))
    with pytest.raises(CheckpointError, match="damaged"):
        checkpoint.load(saved)


def test_folders_without_a_checkpoint_are_refused(tmp_path, saved):
    with pytest.raises(CheckpointError, match="absent: no such folder"):
        checkpoint.load(tmp_path / "absent")
    with pytest.raises(CheckpointError, match=r"no checkpoint .*checkpoints/"):
        checkpoint.load(tmp_path)
    with pytest.raises(CheckpointError, match=r"card\.json: is a file"):
        checkpoint.load(saved / CARD)


def test_a_missing_device_is_refused(saved):
    if torch.cuda.is_available():
        pytest.skip("this machine has one")
    with pytest.raises(CheckpointError, match=r"^device 'cuda' "):
        checkpoint.load(saved, "cuda")


def test_a_run_folder_resolves_to_its_best_else_last_checkpoint(model, tmp_path):
    run = tmp_path / "run"
    for name in ("step_00000009", "step_00000010", "step_100000000"):
        checkpoint.save(run / "checkpoints" / name, model, Card(model=SMALL, step=int(name[5:])))
    assert checkpoint.load(run)[1].step == 100_000_000
    checkpoint.save(run / "checkpoints" / "best_00000009", model, Card(model=SMALL, step=9))
    assert checkpoint.load(run)[1].step == 9
    assert checkpoint.resolve(run / "checkpoints").name == "best_00000009"


def test_a_full_disk_leaves_the_old_checkpoint(model, saved, monkeypatch):
    def full(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(checkpoint, "save_file", full)
    with pytest.raises(OSError, match="No space left"):
        checkpoint.save(saved, model, Card(model=SMALL, step=8))
    assert checkpoint.load(saved)[1].step == 7
    assert [p.name for p in saved.parent.iterdir()] == ["small"]


def test_card_with_a_key_of_an_earlier_version_is_read(tmp_path):
    config = SMALL.model_copy(update={"level_normalized": True})
    checkpoint.save(tmp_path, build(config), Card(model=config))
    model = json.loads((tmp_path / CARD).read_text())["model"]
    model["levelled"] = model.pop("level_normalized")
    edit_card(tmp_path, model=model)
    assert checkpoint.load(tmp_path)[1].model == config
