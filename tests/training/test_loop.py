import json
import os
import signal
import subprocess
import sys
import threading

import numpy as np
import pytest
import torch
from toy import Example, Toy, development, make_teacher, toy_recipe, train_toy

from stillwave import checkpoint, recipe
from stillwave.data.dataset import Numbered, collate
from stillwave.errors import CheckpointError, RecipeError, StillwaveError
from stillwave.evaluation.sdr import si_sdr
from stillwave.training import Stopped, run_log, sources, state
from stillwave.training.distributed import World
from stillwave.training.train_state import TrainState

ONE = World(0, 1, torch.device("cpu"))


def batch():
    return collate([Numbered(index, Toy()(0, index)) for index in range(2)])


def events(run, kind):
    return [event for event in run_log.read(run) if event["kind"] == kind]


def weights(folder):
    return checkpoint.read_tensors(folder / checkpoint.WEIGHTS)


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
    with pytest.raises(StillwaveError, match="from another teacher"):
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
    with pytest.raises(StillwaveError, match=r"stopped after 3 batches with non-finite .*bad_batches"):
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
    with pytest.raises(Stopped, match="stopped after step 3; give the same command to continue") as caught:
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
    with pytest.raises(
        RecipeError, match=r"already holds a run with a different loss\.si_sdr; give another folder"
    ):
        train_toy(tmp_path / "run", "train.steps=2", "loss.si_sdr=0.5")
    train_toy(tmp_path / "run", "train.steps=1", "data.workers=1")


def test_folders_without_a_run_are_refused(tmp_path):
    (tmp_path / "taxes.csv").write_text("1")
    with pytest.raises(RecipeError, match="is not a run folder"):
        train_toy(tmp_path)
    with pytest.raises(StillwaveError, match="is a file"):
        train_toy(tmp_path / "taxes.csv")


def test_resume_false_requires_a_folder_without_a_run(tmp_path):
    train_toy(tmp_path / "run", "train.steps=1", resume=False)
    with pytest.raises(RecipeError, match="already holds a run"):
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
        with pytest.raises(StillwaveError, match="another process is training here"):
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
    with pytest.raises(StillwaveError, match=r"No space left on device.*earlier ones are intact"):
        train_toy(tmp_path / "run")
    assert checkpoint.load(tmp_path / "run" / "checkpoints" / "step_00000002")[1].step == 2
    monkeypatch.setattr(checkpoint, "save_file", original)
    whole = train_toy(tmp_path / "whole")
    after = train_toy(tmp_path / "run")
    assert all(torch.equal(weights(after)[name], value) for name, value in weights(whole).items())


def test_several_microphones_are_refused_where_mixtures_have_one():
    with pytest.raises(RecipeError, match=r"model.microphones: .* set it to 1"):
        sources.mixtures(toy_recipe("model.microphones=2"), ONE)


def test_half_precision_on_a_cpu_falls_back_to_float32(tmp_path, capsys):
    half = train_toy(tmp_path / "half", "train.precision=bf16", "train.steps=1")
    assert "train.precision: bf16 is for GPUs; computing in fp32" in capsys.readouterr().err
    full = train_toy(tmp_path / "full", "train.steps=1")
    assert all(torch.equal(weights(half)[name], value) for name, value in weights(full).items())
