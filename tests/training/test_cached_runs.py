from pathlib import Path

import pytest
from torchrun_process import torchrun
from toy import Toy, make_teacher, train_toy
from toy_distillation import SMALL, distil

from stillwave import checkpoint, recipe
from stillwave.distill.cache import TeacherCache
from stillwave.errors import CheckpointError, StillwaveError
from stillwave.training import run_log


@pytest.fixture
def teacher(tmp_path):
    return make_teacher(tmp_path / "teacher")


@pytest.fixture
def passes(monkeypatch):
    """Grows with each forward pass of the teacher in training."""
    found, outputs = [], TeacherCache.outputs

    def counted(self, noisy, taps, compute):
        def pass_of_the_teacher():
            found.append(1)
            return compute()

        return outputs(self, noisy, taps, pass_of_the_teacher)

    monkeypatch.setattr(TeacherCache, "outputs", counted)
    return found


def losses(run: Path) -> list:
    return [
        {name: value for name, value in event.items() if name != "audio_per_second"}
        for event in run_log.read(run)
    ]


@pytest.mark.parametrize("method", [pytest.param(SMALL, marks=pytest.mark.slow), "output"])
def test_a_cached_run_is_the_live_run_bit_for_bit(tmp_path, teacher, passes, method):
    live = distil(tmp_path / "live", teacher, method)
    filling = distil(tmp_path / "fill", teacher, method, f"distill.cache={tmp_path / 'cache'}")
    assert len(passes) == 8
    reading = distil(tmp_path / "read", teacher, method, f"distill.cache={tmp_path / 'cache'}")
    assert len(passes) == 8, "no further pass of the teacher"
    assert live == filling
    assert live == reading
    assert losses(tmp_path / "live") == losses(tmp_path / "fill") == losses(tmp_path / "read")


@pytest.mark.slow
def test_several_students_share_cached_outputs(tmp_path, teacher, passes):
    cache = f"distill.cache={tmp_path / 'cache'}"
    distil(tmp_path / "one", teacher, SMALL, cache)
    assert len(passes) == 4
    for name, *overrides in (
        ("other method", "fitnets"),
        ("wider student", "at", "model.channels=16"),
        ("no layers", "output"),
        ("other budget", "sp", "train.steps=3", "optimiser.lr=1e-4"),
    ):
        distil(tmp_path / name, teacher, overrides[0], cache, *overrides[1:])
        assert len(passes) == 4, name


def test_other_batches_are_not_read_from_the_cache(tmp_path, teacher, passes):
    cache = f"distill.cache={tmp_path / 'cache'}"
    distil(tmp_path / "one", teacher, "at", cache)
    distil(tmp_path / "two", teacher, "at", cache, "train.batch_size=3")
    assert len(passes) == 8


def test_a_run_can_resume_with_or_without_a_cache(tmp_path, teacher):
    whole = distil(tmp_path / "whole", teacher, "at")
    cache = f"distill.cache={tmp_path / 'cache'}"
    distil(tmp_path / "filled", teacher, "at", cache)

    def cut(epoch, index):
        if index >= 6:
            raise KeyboardInterrupt
        return Toy()(epoch, index)

    section = f"distill={{teacher: {teacher}, balance_steps: 3, rho: 0.7, method: at}}"
    with pytest.raises(KeyboardInterrupt):
        train_toy(tmp_path / "cut", section, "train.steps=4", source=cut)
    resumed = distil(tmp_path / "cut", teacher, "at", cache)
    assert resumed == whole


def test_half_precision_does_not_depend_on_the_cache(tmp_path, teacher):
    cache = f"distill.cache={tmp_path / 'cache'}"
    half = ("distill.cache_precision=float16", "train.steps=2")
    full = distil(tmp_path / "full", teacher, "at", "train.steps=2")
    first = distil(tmp_path / "first", teacher, "at", cache, *half)
    second = distil(tmp_path / "second", teacher, "at", cache, *half)
    without = distil(tmp_path / "without", teacher, "at", *half)
    assert first == second == without
    assert first != full


def test_precision_is_part_of_a_recipe_and_the_folder_is_not():
    text = "data: {train: {speech: a, noise: b}, development: c}\ndistill: {teacher: t}"
    plain = recipe.loads(text)
    placed = recipe.loads(text, ["distill.cache=/somewhere", "distill.cache_gb=3"])
    assert recipe.differences(plain, placed) == []
    half = recipe.loads(text, ["distill.cache_precision=float16"])
    assert recipe.differences(plain, half) == ["distill.cache_precision"]


def test_the_cache_of_another_teacher_is_refused_before_anything_is_trained(tmp_path, teacher):
    cache = f"distill.cache={tmp_path / 'cache'}"
    distil(tmp_path / "one", teacher, "at", cache)
    other = make_teacher(tmp_path / "other", seed=12)
    with pytest.raises(StillwaveError, match=r"distill\.cache: .*cache .*teacher \(SHA-256 .*, not "):
        distil(tmp_path / "two", other, "at", cache)
    assert not (tmp_path / "two" / "checkpoints").exists()


def test_teacher_with_other_input_is_refused(tmp_path):
    from stillwave.models import build
    from stillwave.schema import ModelConfig

    two = ModelConfig(channels=8, microphones=2)
    checkpoint.save(tmp_path / "two", build(two), checkpoint.Card(model=two))
    with pytest.raises(CheckpointError, match=r"distill\.teacher: .*two .*2 microphone\(s\) .*student 1;"):
        distil(tmp_path / "run2", str(tmp_path / "two"))
    one = ModelConfig(channels=8)
    checkpoint.save(tmp_path / "fast", build(one), checkpoint.Card(model=one, sample_rate=48_000))
    with pytest.raises(CheckpointError, match=r"distill\.teacher: .*fast .*48000 Hz .*student 16000 Hz"):
        distil(tmp_path / "run48", str(tmp_path / "fast"))


@pytest.mark.slow
def test_processes_share_a_cache(tmp_path, teacher):
    options = [f"distill.teacher={teacher}", "distill.method=at", "train.batch_size=4"]
    for run, cache in (("live", []), ("fill", [True]), ("read", [True])):
        place = [f"distill.cache={tmp_path / 'cache'}"] if cache else []
        done = torchrun(tmp_path / run, *options, *place)
        assert done.returncode == 0, done.stderr
    assert len(list((tmp_path / "cache").glob("??/*.safetensors"))) == 12, "two shares of six batches"
    assert losses(tmp_path / "live") == losses(tmp_path / "fill") == losses(tmp_path / "read")
