"""Snapshots that a run keeps for its report, and the fixed batch that they are taken of."""

from __future__ import annotations

import errno
import shutil
from types import SimpleNamespace

import numpy as np
import torch
from explained_runs import RECIPE, kept, made

from stillwave import checkpoint
from stillwave import recipe as recipes
from stillwave.training import probe_batch
from stillwave.training.probe_batch import fixed_batch


def test_a_snapshot_at_the_start_and_at_each_validation(flagship):
    assert [file.name for file in kept(flagship)] == [f"step_0000000{n}.safetensors" for n in (0, 2, 3)]
    assert all(file.stat().st_size < 100_000 for file in kept(flagship))


def test_content_of_a_snapshot(flagship):
    found = checkpoint.read_tensors(kept(flagship)[1])
    frames = 9  # 0.125 s and one more
    assert {name for name in found if name.startswith("distance.")} == {
        f"distance.{term}" for term in ("encoder", "middle", "decoder", "inter")
    }
    assert found["alpha.middle.batch"].shape == (frames, 1, 2)
    assert found["alpha.inter.time"].shape == (frames, 3, 3)
    torch.testing.assert_close(
        found["alpha.inter.time"].float().sum(-1), torch.ones(frames, 3), atol=2e-3, rtol=0
    )
    assert found["similarity.decoder"].shape == (frames, frames)
    diagonal = found["similarity.encoder"].float().diagonal()
    torch.testing.assert_close(diagonal, torch.ones(frames), atol=2e-3, rtol=0)


def test_snapshots_do_not_change_the_run(place, flagship, tmp_path, monkeypatch):
    monkeypatch.setattr(probe_batch.Snapshots, "take", lambda self, step: None)
    without = made(place, tmp_path / "run")
    assert kept(without) == []
    a, b = (
        checkpoint.read_tensors(r / "checkpoints/step_00000003/training.safetensors")
        for r in (flagship, without)
    )
    assert a.keys() == b.keys()
    assert all(torch.equal(a[name], b[name]) for name in a)


def test_a_resumed_run_keeps_the_same(place, flagship, tmp_path):
    run = tmp_path / "run"
    shutil.copytree(flagship, run)
    shutil.rmtree(run / "checkpoints" / "step_00000003")
    for file in kept(run)[1:]:
        file.unlink()
    made(place, run)
    assert [file.name for file in kept(run)] == ["step_00000000.safetensors", "step_00000003.safetensors"]
    assert kept(run)[-1].read_bytes() == kept(flagship)[-1].read_bytes()


def test_a_method_without_calibration_has_no_snapshots(place, tmp_path):
    assert kept(made(place, tmp_path / "run", "distill.method=at", "train.steps=1")) == []


def test_a_full_disk_skips_the_snapshot(place, tmp_path, monkeypatch, capsys):
    def full(file, tensors):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(probe_batch, "checkpoint", SimpleNamespace(write_tensors=full))
    run = made(place, tmp_path / "run", "train.steps=2")
    assert "step_00000002.safetensors: not saved (No space left on device)" in capsys.readouterr().err
    assert (run / "checkpoints" / "step_00000002").is_dir()
    assert kept(run) == []


def test_the_fixed_batch_is_of_the_training_shape():
    recipe = recipes.loads(RECIPE, ["data.segment_seconds=0.5", "train.batch_size=3"])
    long = np.arange(9000, dtype=np.float32)
    short = np.ones(100, np.float32)
    items = [SimpleNamespace(noisy=long, clean=-long), SimpleNamespace(noisy=short, clean=short)]
    batch = fixed_batch(recipe, items)
    assert batch.noisy.shape == (3, 8000)
    assert batch.noisy[0, 0] == 500, "the middle"
    assert torch.equal(batch.clean[0], -batch.noisy[0])
    assert torch.equal(batch.noisy[2], batch.noisy[0]), "too few are taken again"
    assert batch.noisy[1].sum() == 100


def test_the_fixed_batch_of_several_microphones_is_cut_along_time():
    recipe = recipes.loads(RECIPE, ["data.segment_seconds=0.5", "train.batch_size=2"])
    long = np.arange(9000, dtype=np.float32)
    items = [
        SimpleNamespace(noisy=np.stack([samples, -samples, 0 * samples]), clean=samples)
        for samples in (long, long[:100])
    ]
    batch = fixed_batch(recipe, items)
    assert batch.noisy.shape == (2, 3, 8000)
    assert batch.clean.shape == (2, 8000)
    assert torch.equal(batch.noisy[:, 0], batch.clean)
    assert torch.equal(batch.noisy[:, 1], -batch.clean)
    assert not batch.noisy[:, 2].any()
