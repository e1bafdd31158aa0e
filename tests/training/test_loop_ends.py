"""Bad batches, early stopping, signals, and folders that are refused."""

import json
import os
import signal
import subprocess
import sys
import threading

import numpy as np
import pytest
import torch
from run_records import ONE, batch, events, weights
from toy import Example, Toy, development, toy_recipe, train_toy

from stillwave import checkpoint
from stillwave.errors import RecipeError, StillwaveError
from stillwave.training import Stopped, sources, state
from stillwave.training.train_state import TrainState

# --- bad batches -------------------------------------------------------------------------------------------


def test_a_bad_batch_is_skipped_and_saved(tmp_path, capsys):
    run = tmp_path / "run"
    best = train_toy(run, source=Toy(bad=(3,)))
    (event,) = events(run, "bad_batch")
    assert event["step"] == 2
    assert "loss not finite" in event["reason"]
    saved = checkpoint.read_tensors(run / event["file"])
    assert saved["indices"].tolist() == [2, 3]
    assert saved["noisy"].isnan().any(1).tolist() == [False, True]
    assert saved["clean"].isfinite().all()
    assert "batch skipped and saved as" in capsys.readouterr().err
    assert [e["step"] for e in events(run, "train")] == [1, 3, 4, 5, 6]
    assert all(tensor.isfinite().all() for tensor in weights(best).values())


def test_a_bad_gradient_is_a_bad_batch():
    trained = TrainState(toy_recipe(), ONE)
    before = {name: tensor.clone() for name, tensor in trained.student.state_dict().items()}
    next(trained.student.parameters()).register_hook(lambda gradient: gradient * float("inf"))
    result = trained.step([batch()], 0)
    assert result.bad is not None
    assert result.reason == "gradient not finite"
    assert all(torch.equal(before[name], tensor) for name, tensor in trained.student.state_dict().items())


def test_too_many_bad_batches_end_the_run(tmp_path):
    with pytest.raises(StillwaveError, match=r"run: .* 3 batches .*bad_batches"):
        train_toy(tmp_path / "run", "train.max_bad_batches=3", source=Toy(bad=tuple(range(2, 100))))
    assert len(list((tmp_path / "run" / "bad_batches").iterdir())) == 3


# --- the end -----------------------------------------------------------------------------------------------


def test_early_stopping(tmp_path):
    run = tmp_path / "run"
    # With this rate nothing is learnt: the first score is the best, or nearly so.
    train_toy(run, "optimiser.lr=1e-12", "train.ema=0", "train.patience=2", "train.steps=50")
    last = events(run, "validation")[-1]["step"]
    assert last < 50
    finished = json.loads((run / "checkpoints" / f"step_{last:08d}" / state.FACTS).read_text())["finished"]
    assert finished == f"no better score in 2 validations, at step {last}"


def test_items_without_a_score_are_counted_and_not_averaged(tmp_path):
    silent = Example(np.full(2000, 0.1, np.float32), np.zeros(2000, np.float32))
    run = tmp_path / "run"
    train_toy(run, "train.steps=2", items=[*development(2), silent])
    (event,) = events(run, "validation")
    assert (event["items"], event["skipped"]) == (3, {"the reference is silent": 1})
    train_toy(tmp_path / "without", "train.steps=2", items=development(2))
    assert event["si_sdr"] == events(tmp_path / "without", "validation")[0]["si_sdr"]


def test_without_any_score_the_last_checkpoint_is_the_result(tmp_path):
    silent = Example(np.full(2000, 0.1, np.float32), np.zeros(2000, np.float32))
    assert train_toy(tmp_path / "run", items=[silent]).name == "step_00000006"


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_writes_a_checkpoint_and_the_next_run_resumes(tmp_path, monkeypatch, number):
    steps = []
    original = TrainState.step

    def step(self, group, count):
        steps.append(count)
        if len(steps) == 3:
            signal.raise_signal(number)
        return original(self, group, count)

    before = signal.getsignal(number)
    monkeypatch.setattr(TrainState, "step", step)
    with pytest.raises(Stopped, match=r"run: .*step 3;") as caught:
        train_toy(tmp_path / "run")
    assert caught.value.code == 128 + number
    assert signal.getsignal(number) is before
    assert (tmp_path / "run" / "checkpoints" / "step_00000003").is_dir()
    result = train_toy(tmp_path / "run")
    assert steps == [0, 1, 2, 3, 4, 5]
    whole = train_toy(tmp_path / "whole")
    assert all(torch.equal(weights(result)[name], value) for name, value in weights(whole).items())


def test_a_second_signal_ends_at_once(tmp_path, monkeypatch):
    def twice(self, group, count):
        signal.raise_signal(signal.SIGINT)
        signal.raise_signal(signal.SIGINT)

    monkeypatch.setattr(TrainState, "step", twice)
    with pytest.raises(KeyboardInterrupt):
        train_toy(tmp_path / "run")


def test_training_in_a_thread_does_not_handle_signals(tmp_path):
    thread = threading.Thread(target=train_toy, args=(tmp_path / "run", "train.steps=1"))
    thread.start()
    thread.join()
    assert (tmp_path / "run" / "checkpoints" / "step_00000001").is_dir()


def test_files_of_a_run_follow_the_umask(tmp_path):
    before = os.umask(0o022)
    try:
        train_toy(tmp_path / "run", "train.steps=2", "train.checkpoint_every=1", source=Toy(bad=(1,)))
    finally:
        os.umask(before)
    files = [path for path in (tmp_path / "run").rglob("*") if path.is_file()]
    assert {path.suffix for path in files} >= {".safetensors", ".json", ".jsonl", ".yaml"}
    assert [str(path) for path in files if path.stat().st_mode & 0o777 != 0o644] == []


# --- the run folder ----------------------------------------------------------------------------------------


def test_the_run_of_another_recipe_is_refused_by_key(tmp_path):
    train_toy(tmp_path / "run", "train.steps=1")
    with pytest.raises(RecipeError, match=r"run: .*loss\.si_sdr;.*recipe\.yaml"):
        train_toy(tmp_path / "run", "train.steps=2", "loss.si_sdr=0.5")
    train_toy(tmp_path / "run", "train.steps=1", "data.workers=1")


def test_folders_without_a_run_are_refused(tmp_path):
    (tmp_path / "taxes.csv").write_text("1")
    with pytest.raises(RecipeError, match=r"'taxes\.csv'"):
        train_toy(tmp_path)
    with pytest.raises(StillwaveError, match=r"taxes\.csv: is a file"):
        train_toy(tmp_path / "taxes.csv")


def test_resume_false_requires_a_folder_without_a_run(tmp_path):
    train_toy(tmp_path / "run", "train.steps=1", resume=False)
    with pytest.raises(RecipeError, match="run: already"):
        train_toy(tmp_path / "run", "train.steps=1", resume=False)


HOLD = """
import os, sys, time
from filelock import FileLock
lock = FileLock(sys.argv[1])
lock.acquire()
if os.fork() == 0:  # as a data worker: it outlives its parent with the file open
    os.close(1)
    time.sleep(30)
    os._exit(0)
print("held", flush=True)
time.sleep(30)
"""


def test_a_run_folder_is_locked_by_its_process(tmp_path):
    if not hasattr(os, "fork"):
        pytest.skip("needs fork")
    (tmp_path / "run").mkdir()
    command = [sys.executable, "-c", HOLD, str(tmp_path / "run" / ".lock")]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as holder:
        assert holder.stdout.readline() == "held\n"
        with pytest.raises(StillwaveError, match="run: another process"):
            train_toy(tmp_path / "run")
        holder.kill()
    train_toy(tmp_path / "run", "train.steps=1")


def test_a_full_disk_keeps_the_earlier_checkpoints(tmp_path, monkeypatch):
    original, room = checkpoint.save_file, [3]  # for the best and the first step checkpoint

    def full(tensors, file):
        room[0] -= 1
        if room[0] < 0:
            raise OSError(28, "No space left on device")
        original(tensors, file)

    monkeypatch.setattr(checkpoint, "save_file", full)
    with pytest.raises(StillwaveError, match=r"checkpoints: .*No space left on device"):
        train_toy(tmp_path / "run")
    assert checkpoint.load(tmp_path / "run" / "checkpoints" / "step_00000002")[1].step == 2
    monkeypatch.setattr(checkpoint, "save_file", original)
    whole = train_toy(tmp_path / "whole")
    after = train_toy(tmp_path / "run")
    assert all(torch.equal(weights(after)[name], value) for name, value in weights(whole).items())


def test_several_microphones_are_refused_where_mixtures_have_one():
    with pytest.raises(RecipeError, match=r"^model\.microphones: .*data\.train\.pairs"):
        sources.mixtures(toy_recipe("model.microphones=2"), ONE)


def test_half_precision_on_a_cpu_falls_back_to_float32(tmp_path, capsys):
    half = train_toy(tmp_path / "half", "train.precision=bf16", "train.steps=1")
    assert "train.precision: bf16 is for GPUs; computing in fp32" in capsys.readouterr().err
    full = train_toy(tmp_path / "full", "train.steps=1")
    assert all(torch.equal(weights(half)[name], value) for name, value in weights(full).items())
