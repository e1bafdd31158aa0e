import os
import random
import shutil
import subprocess
import sys
import time
from pathlib import Path

import pytest
import torch
from run_equality import assert_same_run, facts, timeless  # noqa: F401
from toy import make_teacher, train_toy

from stillwave import checkpoint
from stillwave.training import run_log

HERE = Path(__file__).parents[1] / "_support"
ENVIRONMENT = {**os.environ, "OMP_NUM_THREADS": "1", "MKL_NUM_THREADS": "1"}


def killed(run, *points, overrides=()):
    command = [sys.executable, str(HERE / "killer.py"), str(run), *overrides, "--", *points]
    done = subprocess.run(command, env=ENVIRONMENT, capture_output=True, text=True, timeout=900)
    assert done.returncode == 0, done.stderr
    return run


def steps(run):
    return [event["step"] for event in run_log.read(run) if event["kind"] == "train"]


# Every place where a process can leave something half done (several within a checkpoint), in the order in
# which a run of eight steps with a checkpoint every other step meets them; and steps drawn at random.
POINTS = [
    "line:1", "best:1", "tensors:1", "tensors:2", "tensors:3", "rename:1", "renamed:1", "rename:2",
    f"step:{random.Random(4).randint(1, 2)}", "renamed:2", "line:3", "prune:1", "line:2", "prune:2",
]  # fmt: skip


def test_a_killed_run_resumes_exactly(tmp_path):
    train_toy(tmp_path / "whole", "train.steps=8")
    cut = killed(tmp_path / "cut", *POINTS, overrides=["train.steps=8"])
    assert steps(cut) == [1, 2, 3, 4, 5, 6, 7, 8]
    assert_same_run(tmp_path / "whole", cut)
    assert not list(cut.rglob("*.tmp")), "nothing half written is left"
    assert not list(cut.rglob("*.old"))


@pytest.mark.slow
def test_killed_while_distilling(tmp_path):
    teacher = make_teacher(tmp_path / "teacher")
    # λ is settled after three batches: the run is cut before, at and after that.
    overrides = ["distill.balance_steps=3", "train.accumulate=2", "train.steps=4", "train.checkpoint_every=1"]
    overrides += [f"distill.teacher={teacher}", "distill.method.fusion_channels=8"]
    train_toy(tmp_path / "whole", *overrides)
    cut = killed(tmp_path / "cut", "step:2", "tensors:2", "step:1", overrides=overrides)
    assert_same_run(tmp_path / "whole", cut)
    trained = [event for event in run_log.read(cut) if event["kind"] == "train"]
    first, last = trained[0], trained[-1]
    assert first["lambda"] > 0
    assert {"distill.encoder", "distill.middle", "distill.decoder", "distill.inter"} <= set(last["loss"])
    total = last["loss"]["enhancement"] + last["lambda"] * sum(
        value for name, value in last["loss"].items() if name.startswith("distill.")
    )
    assert last["loss"]["total"] == pytest.approx(total, rel=1e-6)


@pytest.mark.slow
def test_killed_from_outside_at_any_time_with_worker_processes(tmp_path):
    overrides = ["data.workers=2", "train.steps=60", "train.checkpoint_every=3", "train.validate_every=10"]
    whole = killed(tmp_path / "whole", overrides=overrides)
    cut, draw = tmp_path / "cut", random.Random(0)
    command = [sys.executable, str(HERE / "toy.py"), str(cut), *overrides]
    for _ in range(6):
        process = subprocess.Popen(command, env=ENVIRONMENT, stderr=subprocess.DEVNULL)
        before = len(run_log.read(cut))
        deadline = time.monotonic() + 600
        while len(run_log.read(cut)) < before + 2 and process.poll() is None and time.monotonic() < deadline:
            time.sleep(0.01)
        time.sleep(draw.uniform(0, 0.4))
        process.kill()
        process.wait()
    assert subprocess.run(command, env=ENVIRONMENT, stderr=subprocess.DEVNULL).returncode == 0
    assert_same_run(whole, cut)


def test_a_finished_run_is_reported_and_not_changed(tmp_path, capsys):
    best = train_toy(tmp_path / "run")
    before = {p: p.stat().st_mtime_ns for p in (tmp_path / "run" / "checkpoints").rglob("*")}
    assert train_toy(tmp_path / "run") == best
    assert "this run is finished (all 6 steps done)" in capsys.readouterr().err
    assert before == {p: p.stat().st_mtime_ns for p in (tmp_path / "run" / "checkpoints").rglob("*")}


def test_a_damaged_newest_checkpoint_is_skipped_with_a_warning(tmp_path, capsys):
    train_toy(tmp_path / "whole")
    train_toy(tmp_path / "run")
    newest = tmp_path / "run" / "checkpoints" / "step_00000006" / "training.safetensors"
    newest.write_bytes(newest.read_bytes()[:-7])
    train_toy(tmp_path / "run")
    message = capsys.readouterr().err
    assert "step_00000006" in message
    assert "resuming after step 4" in message
    assert_same_run(tmp_path / "whole", tmp_path / "run")


def test_the_last_two_and_the_best_are_kept(tmp_path):
    best = train_toy(tmp_path / "run", "train.steps=9")
    names = sorted(p.name for p in (tmp_path / "run" / "checkpoints").iterdir())
    assert names[-2:] == ["step_00000008", "step_00000009"]
    assert names[:-2] == [best.name]
    scores = {e["step"]: e["si_sdr"] for e in run_log.read(tmp_path / "run") if e["kind"] == "validation"}
    assert int(best.name[5:]) == max(scores, key=scores.get)
    assert checkpoint.load(best)[1].scores == {"si_sdr": max(scores.values())}


def test_run_folder_with_a_key_of_an_earlier_version_resumes(tmp_path):
    options = ["model.name=bsrnn", "model.norm=frame", "model.causal=true", "model.level_normalized=true"]
    options.append("data.mixing.synthetic_noise=0.5")
    train_toy(tmp_path / "whole", *options)
    cut = tmp_path / "cut"
    train_toy(cut, *options)
    shutil.rmtree(cut / "checkpoints" / "step_00000006")
    for file in (cut / "recipe.yaml", *cut.rglob("card.json")):
        old = file.read_text().replace("level_normalized", "levelled").replace("synthetic_noise", "computed")
        assert "levelled" in old
        assert file.suffix == ".json" or "computed" in old
        file.write_text(old)
    train_toy(cut, *options)
    whole, resumed = (checkpoint.load(tmp_path / name)[0].state_dict() for name in ("whole", "cut"))
    assert all(torch.equal(whole[name], resumed[name]) for name in whole)
    assert "levelled" not in (cut / "checkpoints" / "step_00000006" / "card.json").read_text()
