import json
from dataclasses import replace

import pytest
import torch
from toy import make_teacher, toy_recipe

from stillwave.distill.method import DistillError
from stillwave.training.networks import build_networks
from stillwave.training.selfcheck import check, dry_batch


def test_synthetic_speech_resembles_speech():
    (noisy, clean, *_), origin = dry_batch(toy_recipe("data.segment_seconds=2"), 3)
    assert origin.startswith("synthetic")
    assert noisy.shape == clean.shape == (3, 32_000)
    assert noisy.dtype == clean.dtype == torch.float32
    assert noisy.abs().max() < 2
    snr = 10 * torch.log10(clean.square().sum(1) / (noisy - clean).square().sum(1))
    assert torch.allclose(snr, torch.full((3,), 5.0), atol=0.2)
    frames = clean.unfold(1, 320, 320).square().mean(2)
    assert (frames.amin(1) < 1e-3 * frames.amax(1)).all(), "there are pauses"
    assert not torch.equal(clean[0], clean[1])


def test_several_microphones():
    (noisy, clean, *_), _ = dry_batch(toy_recipe("model.microphones=2"), 2)
    assert noisy.shape == (2, 2, 1600)
    assert clean.shape == (2, 1600)


def test_the_dry_run_uses_few_examples_unless_the_method_requires_all(tmp_path):
    teacher = make_teacher(tmp_path / "teacher")
    few = check(toy_recipe(f"distill={{teacher: {teacher}, method: at}}", "train.batch_size=8"))
    assert few.batch.startswith("4 × 0.1 s (training: 8)")
    assert few.findings.terms


def test_a_method_that_requires_all_examples_gets_them(tmp_path, monkeypatch):
    teacher = make_teacher(tmp_path / "teacher")
    recipe = toy_recipe(f"distill={{teacher: {teacher}, method: at}}", "train.batch_size=6")

    def picky(recipe, example):
        if len(example) < 6:
            raise DistillError("too few")
        return build_networks(recipe, example)

    monkeypatch.setattr("stillwave.training.selfcheck.build_networks", picky)
    assert check(recipe).batch.startswith("6 × 0.1 s of ")
    with pytest.raises(DistillError, match="too few"):
        check(toy_recipe(f"distill={{teacher: {teacher}, method: at}}", "train.batch_size=3"))


def test_nan_and_infinity_are_written_as_json(tmp_path):
    teacher = make_teacher(tmp_path / "teacher")
    found = check(toy_recipe(f"distill={{teacher: {teacher}, method: at}}"))
    broken = replace(found, findings=replace(found.findings, enhancement=float("nan"), weight=float("inf")))
    read = json.loads(json.dumps(broken.as_json(), allow_nan=False))
    assert (read["enhancement"], read["weight"]) == ("nan", "inf")
    assert read["gradient"] == found.findings.gradient
