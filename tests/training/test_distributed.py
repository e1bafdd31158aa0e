import os
import subprocess
import sys

import pytest
import torch
from torchrun_process import HERE, torchrun
from toy import make_teacher, train_toy

from stillwave import checkpoint
from stillwave.errors import RecipeError
from stillwave.training import run_log
from stillwave.training.distributed import World, find_device, join, share


def losses(run):
    return [event for event in run_log.read(run) if event["kind"] == "train"]


@pytest.mark.slow
@pytest.mark.parametrize("distilling", [False, True])
def test_two_processes_have_the_losses_of_one(tmp_path, distilling):
    overrides = ["train.batch_size=4", "train.accumulate=2", "train.steps=4", "model.channels=8"]
    if distilling:
        teacher = make_teacher(tmp_path / "teacher")
        overrides += [
            f"distill.teacher={teacher}",
            "distill.balance_steps=5",
            "distill.method.fusion_channels=8",
        ]
    train_toy(tmp_path / "one", *overrides)
    done = torchrun(tmp_path / "two", *overrides)
    assert done.returncode == 0, done.stderr
    one, two = losses(tmp_path / "one"), losses(tmp_path / "two")
    assert len(one) == len(two) == 4, "only the first process writes"
    for a, b in zip(one, two, strict=True):
        assert a["loss"].keys() == b["loss"].keys()
        for name in a["loss"]:
            assert b["loss"][name] == pytest.approx(a["loss"][name], rel=1e-5, abs=1e-5), (a["step"], name)
        assert b["grad_norm"] == pytest.approx(a["grad_norm"], rel=1e-4)
        assert b.get("lambda", 0) == pytest.approx(a.get("lambda", 0), rel=1e-4)
    scores = [
        [e["si_sdr"] for e in run_log.read(tmp_path / run) if e["kind"] == "validation"]
        for run in ("one", "two")
    ]
    assert scores[1] == pytest.approx(scores[0], abs=1e-3)


@pytest.mark.slow
def test_a_non_finite_batch_in_one_process_is_skipped_by_all(tmp_path):
    # NaN in the first example of the second batch: in the first process's half only
    program = tmp_path / "bad.py"
    program.write_text(
        f"import sys; sys.path.insert(0, {str(HERE)!r})\n"
        "from toy import Toy, train_toy\n"
        "train_toy(sys.argv[1], 'train.batch_size=4', source=Toy(bad=(4,)))\n"
    )
    command = [
        sys.executable,
        "-m",
        "torch.distributed.run",
        "--standalone",
        "--nproc-per-node",
        "2",
        str(program),
    ]
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    run = tmp_path / "run"
    done = subprocess.run([*command, str(run)], env=environment, capture_output=True, text=True, timeout=900)
    assert done.returncode == 0, done.stderr
    (bad,) = [event for event in run_log.read(run) if event["kind"] == "bad_batch"]
    assert bad["step"] == 2
    saved = checkpoint.read_tensors(run / bad["file"])
    assert saved["indices"].tolist() == [4, 5, 6, 7], "the whole batch is kept"
    assert [event["step"] for event in losses(run)] == [1, 3, 4, 5, 6]


def test_one_process_is_the_identity():
    with join("cpu") as world:
        assert (world.rank, world.size, world.is_main) == (0, 1, True)
        assert world.mean(torch.tensor([1.0, 2.0])).tolist() == [1, 2]
        assert world.largest(15) == 15
        assert world.all_gather("a") == ["a"]
        assert world.broadcast("a") == "a"
        assert world.gather_rows(torch.ones(2)).tolist() == [1, 1]


def test_a_batch_that_cannot_be_shared_is_refused():
    world = World(0, 2, torch.device("cpu"))
    assert share(8, world) == 4
    with pytest.raises(RecipeError, match=r"train\.batch_size: 7 .* 2 processes"):
        share(7, world)


@pytest.mark.parametrize("name", ["gpu", "cuda:99", "nonsense:1"])
def test_a_missing_device_is_refused(name):
    with pytest.raises(RecipeError, match=f"^train.device: '{name}' .*'auto'"):
        find_device(name)


def test_auto_selects_a_gpu_if_there_is_one():
    assert find_device("auto").type == ("cuda" if torch.cuda.is_available() else "cpu")
    assert find_device("cpu").type == "cpu"
