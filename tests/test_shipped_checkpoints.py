"""The checkpoints that ship are found from a checkout and from an installed package."""

from __future__ import annotations

from pathlib import Path

import pytest

from stillwave import checkpoint, pretrained
from stillwave import shipped_checkpoints as checkpoints
from stillwave.errors import CheckpointError


def test_a_checkout_has_it_in_weights() -> None:
    found = checkpoints.teacher()
    assert found == Path(__file__).resolve().parents[1] / "weights" / "denoiser-teacher"
    assert (found / "weights.safetensors").stat().st_size < 2e6, "a wheel carries it"


def test_a_wheel_has_it_beside_the_module(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    module = tmp_path / "site-packages" / "stillwave" / "shipped_checkpoints.py"
    monkeypatch.setattr(checkpoints, "__file__", str(module))
    with pytest.raises(CheckpointError, match=r"teacher is missing.*denoiser-teacher"):
        checkpoints.teacher()
    place = module.parent / "pretrained" / "checkpoints" / "denoiser-teacher"
    place.mkdir(parents=True)
    (place / "card.json").touch()
    assert checkpoints.teacher() == place


def test_every_shipped_model_has_a_checkpoint() -> None:
    assert {*pretrained.names(), checkpoints.TEACHER} == {*checkpoints.NAMES}
    for name in checkpoints.NAMES:
        assert checkpoints.find(name).name == name


def test_a_missing_checkpoint_of_a_model_is_named() -> None:
    with pytest.raises(
        CheckpointError, match=r"the checkpoint of bsrnn-l is missing.*install stillwave again"
    ):
        checkpoints.find("bsrnn-l")


def test_a_name_is_a_checkpoint_where_there_is_no_such_path(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    assert checkpoint.resolve("bsrnn-s") == checkpoints.find("bsrnn-s")
    with pytest.raises(
        CheckpointError, match=r"bsrnn-l: no such folder; .* one of bsrnn-m, bsrnn-s, bsrnn-xs"
    ):
        checkpoint.resolve("bsrnn-l")
    Path("bsrnn-s").mkdir()
    with pytest.raises(CheckpointError, match="contains no checkpoint"):
        checkpoint.resolve("bsrnn-s")
