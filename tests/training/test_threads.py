"""The number of threads: stated, kept by a resumed run, or measured; never a matter of luck in a test."""

from __future__ import annotations

import json

import pytest
import torch
from toy import toy_recipe, train_toy

from stillwave.training import threads
from stillwave.training.distributed import World
from stillwave.training.threads import Choice, available, choose, fastest

ALONE = World(0, 1, torch.device("cpu"))


@pytest.fixture
def four_cores(monkeypatch):
    """Four cores; what one and four threads take is set by the test."""
    monkeypatch.delenv("OMP_NUM_THREADS", raising=False)
    monkeypatch.setattr("joblib.cpu_count", lambda: 4)
    seconds = {1: 0.5, 4: 0.2}
    monkeypatch.setattr(threads, "measure", lambda recipe, world, counts: {n: seconds[n] for n in counts})
    before = torch.get_num_threads()
    torch.set_num_threads(4)
    yield seconds
    torch.set_num_threads(before)


def test_the_fastest_number_of_threads_is_chosen_and_printed(four_cores, tmp_path):
    recipe = toy_recipe("train.steps=1000")
    found = choose(recipe, tmp_path, ALONE)
    assert found.threads == 4
    assert found.line == "training on 4 threads: 0.20 s for a forward and backward pass, 0.50 s on 1 thread"
    four_cores[4] = 5.0
    found = choose(recipe, tmp_path, ALONE)
    assert found.threads == 1
    assert "0.50 s for a forward and backward pass, 5.00 s on 4 threads (other programs" in found.line
    assert fastest({1: 0.5, 4: 0.5}) == 1, "of equals the one that leaves room"


def test_a_configured_number_is_not_measured(four_cores, tmp_path, monkeypatch):
    monkeypatch.setattr(threads, "measure", lambda *_: pytest.fail("measured"))
    assert choose(toy_recipe("train.steps=1000", "train.threads=3"), tmp_path, ALONE) == Choice(3)
    assert choose(toy_recipe("train.steps=20"), tmp_path, ALONE) == Choice(4), "not worth it"
    monkeypatch.setenv("OMP_NUM_THREADS", "4")
    assert choose(toy_recipe("train.steps=1000"), tmp_path, ALONE) == Choice(4)


def test_a_resumed_run_keeps_its_number_or_warns(four_cores, tmp_path, capsys):
    four_cores[4] = 5.0
    recipe = toy_recipe("train.steps=1000")
    (tmp_path / "checkpoints" / "step_00000004").mkdir(parents=True)

    def recorded(count):
        (tmp_path / "environment.json").write_text(json.dumps({"sessions": [{"threads": count}, {}]}))

    recorded(2)
    assert choose(recipe, tmp_path, ALONE) == Choice(2)
    recorded(16)
    found = choose(recipe, tmp_path, ALONE)
    assert found.threads == 4
    assert "began on 16 threads and continues on 4 threads" in found.line
    (tmp_path / "environment.json").write_text("{")
    assert choose(recipe, tmp_path, ALONE) == Choice(4), "a run of an earlier version used all cores"


def test_a_run_records_its_number_and_restores_pytorchs(four_cores, tmp_path):
    torch.set_num_threads(2)
    train_toy(tmp_path / "run", "train.threads=1", "train.steps=2")
    sessions = json.loads((tmp_path / "run" / "environment.json").read_text())["sessions"]
    assert [session["threads"] for session in sessions] == [1]
    assert torch.get_num_threads() == 2
    train_toy(tmp_path / "run", "train.threads=2", "train.steps=2")  # no other recipe: it says where it runs


def test_measuring_changes_no_state(tmp_path):
    torch.manual_seed(5)
    state = torch.get_rng_state()
    before = torch.get_num_threads()
    found = threads.measure(toy_recipe(), ALONE, (1,))
    assert set(found) == {1}
    assert found[1] > 0
    assert torch.equal(torch.get_rng_state(), state)
    assert torch.get_num_threads() == before


def test_no_more_threads_than_cores_that_may_be_used(monkeypatch):
    monkeypatch.delenv("OMP_NUM_THREADS", raising=False)
    monkeypatch.setattr("joblib.cpu_count", lambda: 4)
    before = torch.get_num_threads()
    torch.set_num_threads(8)
    try:
        assert available(World(0, 1, torch.device("cpu"))) == 4
        assert available(World(0, 3, torch.device("cpu"))) == 1, "peers share them"
        monkeypatch.setenv("OMP_NUM_THREADS", "8")
        assert available(World(0, 1, torch.device("cpu"))) == 8, "who sets it means it"
    finally:
        torch.set_num_threads(before)
